import { Notification } from '@jupyterlab/apputils';
import type { Event } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { FOUND_EVENT, type ITokens } from './tokens';

/** Notifies when a token could not be refreshed, and when a token in a kernel is about to expire. */
export class Notices {
  constructor(tokens: ITokens, trans: TranslationBundle, show: () => void) {
    const shows = { label: trans.__('Show'), callback: show };
    tokens.refreshFailed.connect((_, { name, error, token_params }) => {
      if (this.failures) {
        const why = error?.code ?? error?.reason ?? '';
        Notification.warning(trans.__('The token of %1 could not be refreshed (%2).', name, why), {
          autoClose: false,
          actions: [
            {
              label: trans.__('Try again'),
              callback: () => void tokens.fetch(name, token_params, true).catch(show)
            },
            shows
          ]
        });
      }
    });
    const told = new Set<string>();
    setInterval(() => {
      for (const holding of tokens.holdings) {
        const { profile, env, expires_at, kept_by } = holding;
        const rest = Date.parse(expires_at ?? '') - tokens.now();
        const key = JSON.stringify(holding);
        // Without an environment variable, code in the kernel holds the token, and requests another
        // when it needs one.
        const isDue = kept_by === null && env !== null && rest > 0;
        if (isDue && rest <= this.beforeExpiry * 1000 && !told.has(key)) {
          told.add(key);
          // Without “Try again”: a new token on the server would not get into the kernel.
          Notification.info(trans.__('A token of %1 in a kernel is about to expire.', profile), {
            autoClose: 10_000,
            actions: [shows]
          });
        }
      }
    }, 1000);
  }

  /** Whether to notify about failed refreshes. */
  failures = true;
  /** Notify this many seconds before a token expires that nothing renews; 0 for never. */
  beforeExpiry = 0;
}

/** An event of the server: it found a token in a notebook that was to be saved. */
interface IFound {
  path: string;
  outcome: 'saved' | 'redacted' | 'refused';
  found: string[];
}

/** Milliseconds before a notification is repeated: a shared document is saved every second. */
const QUIET_MS = 600_000;

/** Notifies about tokens that the server has found in saved notebooks. */
export function noticeSaves(events: Event.IManager, trans: TranslationBundle): void {
  const last = new Map<string, { text: string; at: number }>();
  events.stream.connect((_, { schema_id, ...data }) => {
    const { path, outcome, found } = data as unknown as IFound;
    // JupyterLab shows the server's answer to a save that it refused.
    if (schema_id !== FOUND_EVENT || outcome === 'refused') {
      return;
    }
    const places = found.join('; ');
    const text =
      outcome === 'redacted'
        ? trans.__('%1 was saved with its tokens redacted: %2.', path, places)
        : trans.__(
            '%1 was saved with a token in it: %2. Remove it and save again. If others can read the file, revoke the token.',
            path,
            places
          );
    const before = last.get(path);
    if (before?.text !== text || Date.now() - before.at > QUIET_MS) {
      last.set(path, { text, at: Date.now() });
      Notification.warning(text, { autoClose: false });
    }
  });
}
