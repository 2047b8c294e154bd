import { ServerConnection } from '@jupyterlab/services';

/** One request as the server saw it. */
export interface ISeen {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly body: unknown;
}

type Answer =
  object | { readonly status: number; readonly body: object | string } | Promise<object> | null;

/**
 * A server that answers from a table, by `METHOD path`; null stands for one that is not there, a promise for one
 * that takes its time, a string as the body for a page.
 */
export class Server {
  readonly seen: ISeen[] = [];
  answers: Record<string, Answer> = {};
  date = new Date().toUTCString();

  readonly settings = ServerConnection.makeSettings({
    baseUrl: 'http://server.invalid/team/',
    fetch: async (input: RequestInfo | URL, init?: RequestInit) => {
      const asked = new Request(input, init);
      const { pathname, search } = new URL(asked.url);
      const path = pathname.replace('/team/jupyter-tokens/', '');
      const text = await asked.text();
      this.seen.push({
        method: asked.method,
        path,
        query: search,
        body: text ? JSON.parse(text) : null
      });
      const answer = await Promise.race([
        this.answers[`${asked.method} ${path}`],
        new Promise<never>((_, reject) => {
          const end = (): void => reject(new Error('aborted'));
          asked.signal.addEventListener('abort', end);
          if (asked.signal.aborted) {
            end();
          }
        })
      ]);
      if (answer === null) {
        throw new TypeError('Failed to fetch');
      }
      const { status, body } = isStatus(answer) ? answer : { status: 200, body: answer };
      const sent = typeof body === 'string' ? body : JSON.stringify(body);
      return new Response(sent, { status, headers: { Date: this.date } });
    }
  });
}

function isStatus(answer: Answer | undefined): answer is { status: number; body: object | string } {
  return answer !== undefined && answer !== null && 'status' in answer;
}
