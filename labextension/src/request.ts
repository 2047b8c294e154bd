import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IProblem } from './tokens';

/** What the routes begin with, below the server's base URL. */
const ROOT = 'jupyter-tokens';

/** A request that the server refused, or that did not reach it. */
export class RequestError extends Error {
  constructor(
    readonly problem: IProblem,
    readonly status: number | null
  ) {
    super(problem.message);
    this.name = 'RequestError';
  }
}

/** An answer, and when it was given by the server's clock (milliseconds; null if it does not say). */
export interface IAnswer<T> {
  readonly data: T;
  readonly date: number | null;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/**
 * Asks the server extension.
 *
 * @param parts - The path below `jupyter-tokens/`, not encoded.
 * @throws RequestError, whatever the reason.
 */
export async function request<T>(
  settings: ServerConnection.ISettings,
  method: Method,
  parts: readonly string[],
  body?: object
): Promise<IAnswer<T>> {
  const url = URLExt.join(settings.baseUrl, ROOT, ...parts.map(encodeURIComponent));
  const init: RequestInit = { method, ...(body && { body: JSON.stringify(body) }) };
  let response: Response;
  let text: string;
  try {
    response = await ServerConnection.makeRequest(url, init, settings);
    text = await response.text();
  } catch {
    throw new RequestError(
      problem('unreachable', 'The Jupyter server does not answer.', true),
      null
    );
  }
  const data = parsed(text);
  if (!response.ok) {
    throw new RequestError(isProblem(data) ? data : unexpected(response), response.status);
  }
  const date = Date.parse(response.headers.get('Date') ?? '');
  return { data: data as T, date: Number.isNaN(date) ? null : date };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isProblem(data: unknown): data is IProblem {
  return typeof data === 'object' && data !== null && 'message' in data && 'request_id' in data;
}

function unexpected(response: Response): IProblem {
  return response.status === 404
    ? problem('absent', 'This server does not run the extension jupyter_tokens.', false)
    : problem('http', `The server answered ${response.status} ${response.statusText}.`, true);
}

function problem(reason: string, message: string, retryable: boolean): IProblem {
  return { message, reason, code: null, request_id: null, retryable };
}

/** What is wrong, of anything that was thrown. */
export function problemOf(error: unknown): IProblem {
  return error instanceof RequestError
    ? error.problem
    : problem('unexpected', error instanceof Error ? error.message : String(error), false);
}
