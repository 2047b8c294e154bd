import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { IProblem } from './tokens';

/** What the routes begin with, below the server's base URL. */
const ROOT = 'jupyter-tokens';

/** Why a request ended that the user did not want to wait for: of its signal, and of the problem. */
export const CANCELLED = 'cancelled';

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
 * @param trans - For what the server does not say itself.
 * @param parts - The path below `jupyter-tokens/`, not encoded.
 * @param signal - Ends the wait for the answer; the server goes on with what it does.
 * @throws RequestError, whatever the reason.
 */
export async function request<T>(
  settings: ServerConnection.ISettings,
  trans: TranslationBundle,
  method: Method,
  parts: readonly string[],
  body?: object,
  signal?: AbortSignal
): Promise<IAnswer<T>> {
  const url = URLExt.join(settings.baseUrl, ROOT, ...parts.map(encodeURIComponent));
  const init: RequestInit = {
    method,
    ...(body && { body: JSON.stringify(body) }),
    ...(signal && { signal })
  };
  let response: Response;
  let text: string;
  try {
    response = await ServerConnection.makeRequest(url, init, settings);
    text = await response.text();
  } catch {
    const isCancelled = signal?.reason === CANCELLED;
    throw new RequestError(
      isCancelled
        ? problem(CANCELLED, trans.__('Cancelled. The server may still fetch the token.'), true)
        : problem('unreachable', trans.__('The Jupyter server does not answer.'), true),
      null
    );
  }
  const data = parsed(text);
  if (!response.ok) {
    throw new RequestError(isProblem(data) ? data : unexpected(response, trans), response.status);
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

function unexpected(response: Response, trans: TranslationBundle): IProblem {
  const status = `${response.status} ${response.statusText}`.trim();
  return response.status === 404
    ? problem('absent', trans.__('This server does not run the extension jupyter_tokens.'), false)
    : problem('http', trans.__('The server answered %1.', status), true);
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
