import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { IProblem } from './tokens';

/** The prefix of the routes, below the server's base URL. */
const ROOT = 'jupyter-tokens';

/** The reason of a request that the user has cancelled. */
export const CANCELLED = 'cancelled';

/** The reason of a request that got no answer. */
export const UNREACHABLE = 'unreachable';

/** The server refused a request, or the request did not reach it. */
export class RequestError extends Error {
  constructor(
    readonly problem: IProblem,
    readonly status: number | null
  ) {
    super(problem.message);
    this.name = 'RequestError';
  }
}

/** A response, and its time by the server's clock (ms since the epoch; null if unknown). */
export interface IAnswer<T> {
  readonly data: T;
  readonly date: number | null;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/**
 * Sends a request to the server extension.
 *
 * @param trans - For messages that do not come from the server.
 * @param parts - The path below `jupyter-tokens/`, not encoded.
 * @param signal - Ends the wait for the answer; the server still finishes the request.
 * @throws RequestError for every failure.
 */
export async function request<T>(
  settings: ServerConnection.ISettings,
  trans: TranslationBundle,
  method: Method,
  parts: readonly string[],
  body?: object,
  signal?: AbortSignal,
  query: Readonly<Record<string, string>> = {}
): Promise<IAnswer<T>> {
  const path = URLExt.join(settings.baseUrl, ROOT, ...parts.map(encodeURIComponent));
  const url = path + URLExt.objectToQueryString(query);
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
        ? problem(CANCELLED, cancelled(method, parts, trans), true)
        : problem(UNREACHABLE, trans.__('The Jupyter server does not answer.'), true),
      null
    );
  }
  const data = parsed(text);
  if (!response.ok || data === undefined) {
    throw new RequestError(isProblem(data) ? data : unexpected(response, trans), response.status);
  }
  const date = Date.parse(response.headers.get('Date') ?? '');
  return { data: data as T, date: Number.isNaN(date) ? null : date };
}

/** Undefined if the text is not JSON; null for an answer without a body. */
function parsed(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function cancelled(method: Method, parts: readonly string[], trans: TranslationBundle): string {
  return method === 'POST' && parts.at(-1) !== 'login'
    ? trans.__('Cancelled. The server may still fetch the token.')
    : trans.__('Cancelled. The server may still do it.');
}

function isProblem(data: unknown): data is IProblem {
  return typeof data === 'object' && data !== null && 'message' in data && 'request_id' in data;
}

function unexpected(response: Response, trans: TranslationBundle): IProblem {
  if (response.ok) {
    return problem(
      'http',
      trans.__('The server sent no data, but perhaps its login page. Reload this browser page.'),
      false
    );
  }
  const status = `${response.status} ${response.statusText}`.trim();
  return response.status === 404
    ? problem('absent', trans.__('This server does not have the extension jupyter_tokens.'), false)
    : problem('http', trans.__('The server answered with status %1.', status), true);
}

function problem(reason: string, message: string, retryable: boolean): IProblem {
  return { message, reason, code: null, request_id: null, retryable };
}

/** The problem in anything that was thrown. */
export function problemOf(error: unknown): IProblem {
  return error instanceof RequestError
    ? error.problem
    : problem('unexpected', error instanceof Error ? error.message : String(error), false);
}
