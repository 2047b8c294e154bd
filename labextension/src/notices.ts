import { Notification } from '@jupyterlab/apputils';
import type { Event } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { FOUND_EVENT, type ITokens, type Params } from './tokens';

/** Notifies when a token could not be refreshed, and when a token in a kernel is about to expire. */
export class Notices {
  constructor(
    private readonly _tokens: ITokens,
    private readonly _trans: TranslationBundle,
    private readonly _show: () => void
  ) {
    _tokens.refreshFailed.connect((_, profile) => {
      if (!this.failures) {
        return;
      }
      const why = profile.error?.code ?? profile.error?.reason ?? '';
      this._tell(
        'warning',
        _trans.__('The token of %1 could not be refreshed (%2).', profile.name, why),
        profile.name,
        profile.token_params
      );
    });
    setInterval(() => this._look(), 1000);
  }

  /** Whether to notify about failed refreshes. */
  failures = true;
  /** Notify this many seconds before a token expires that nothing renews; 0 for never. */
  beforeExpiry = 0;

  private _look(): void {
    for (const holding of this._tokens.holdings) {
      // Without an environment variable, code in the kernel holds the token, and requests another
      // when it needs one.
      if (holding.kept_by !== null || holding.env === null) {
        continue;
      }
      const rest = Date.parse(holding.expires_at ?? '') - this._tokens.now();
      const key = JSON.stringify(holding);
      if (rest > 0 && rest <= this.beforeExpiry * 1000 && !this._told.has(key)) {
        this._told.add(key);
        this._tell(
          'info',
          this._trans.__('A token of %1 in a kernel is about to expire.', holding.profile),
          holding.profile
        );
      }
    }
  }

  private _tell(
    kind: 'warning' | 'info',
    text: string,
    profile: string,
    params: Params = {}
  ): void {
    Notification.emit(text, kind, {
      autoClose: kind === 'info' ? 10_000 : false,
      actions: [
        // Not for an expiring token: a new one on the server would not get into the kernel.
        ...(kind === 'warning'
          ? [
              {
                label: this._trans.__('Try again'),
                callback: () => void this._tokens.fetch(profile, params, true).catch(this._show)
              }
            ]
          : []),
        { label: this._trans.__('Show'), callback: this._show }
      ]
    });
  }

  private readonly _told = new Set<string>();
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
export class SaveNotices {
  constructor(
    events: Event.IManager,
    private readonly _trans: TranslationBundle
  ) {
    events.stream.connect((_, { schema_id, ...data }) => {
      if (schema_id === FOUND_EVENT) {
        this._show(data as unknown as IFound);
      }
    });
  }

  private _show({ path, outcome, found }: IFound): void {
    if (outcome === 'refused') {
      // JupyterLab shows the server's answer.
      return;
    }
    const places = found.join('; ');
    const text =
      outcome === 'redacted'
        ? this._trans.__('%1 was saved with its tokens redacted: %2.', path, places)
        : this._trans.__(
            '%1 was saved with a token in it: %2. Remove it and save again. If others can read the file, revoke the token.',
            path,
            places
          );
    const last = this._last.get(path);
    if (last?.text !== text || Date.now() - last.at > QUIET_MS) {
      this._last.set(path, { text, at: Date.now() });
      Notification.warning(text, { autoClose: false });
    }
  }

  private readonly _last = new Map<string, { text: string; at: number }>();
}
