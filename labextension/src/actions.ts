import type { TranslationBundle } from '@jupyterlab/translation';

import { copyText } from './clipboard';
import type { CurrentNotebook } from './notebook';
import { CANCELLED, problemOf, RequestError } from './request';
import { namesOf } from './tokens';
import type { IInjection, IProfile, ITokenFacts, ITokens, Outcome, Params } from './tokens';

/** The user's actions on a profile. The result is shown on its card; no method throws. */
export class Actions {
  constructor(
    private readonly _tokens: ITokens,
    private readonly _notebook: CurrentNotebook,
    private readonly _trans: TranslationBundle
  ) {}

  /** The environment variable for each profile that has one in the user's settings. */
  variables: Readonly<Record<string, string>> = {};

  /**
   * The environment variable for a profile's token; null if neither the settings nor the profile
   * set one.
   */
  variable(profile: IProfile): string | null {
    return this.variables[profile.name] ?? (profile.env === null ? null : namesOf(profile.env));
  }

  fetch(profile: string, params: Params, refresh: boolean): Promise<boolean> {
    return this._tell(profile, async () => {
      const facts = await this._tokens.fetch(profile, params, refresh);
      const text = facts.has_value
        ? this._trans.__('Fetched.')
        : this._trans.__('Fetched. This API describes the token, but never returns its value.');
      return { kind: 'done', text, ...(isGiven(params) && { expiresAt: facts.expires_at }) };
    });
  }

  forget(profile: string): Promise<boolean> {
    return this._tell(profile, async () => {
      await this._tokens.forget(profile);
      return {
        kind: 'done',
        text: this._trans.__('Removed from the server. Notebooks that already have it keep it.')
      };
    });
  }

  /** Logs the user in, in a new browser tab or on another device, and then fetches a token. */
  logIn(profile: string, params: Params): Promise<boolean> {
    return this._tell(profile, async () => {
      const { state, who, error } = await this._tokens.logIn(profile, ({ url }) => {
        if (url !== null) {
          // The card has a link too: the browser may not allow this.
          window.open(url, '_blank', 'noopener,noreferrer');
        }
      });
      if (state === 'waiting') {
        return { kind: 'done', text: this._trans.__('Cancelled.') };
      }
      if (error) {
        throw new RequestError(error, null);
      }
      await this._tokens.fetch(profile, params, false);
      const text = who
        ? this._trans.__('Logged in as %1. A token was fetched.', who)
        : this._trans.__('Logged in. A token was fetched.');
      return { kind: 'done', text };
    });
  }

  logOut(profile: string): Promise<boolean> {
    return this._tell(profile, async () => {
      const { was_logged_in, revoked } = await this._tokens.logOut(profile);
      const text = !was_logged_in
        ? this._trans.__('Nobody was logged in.')
        : revoked
          ? this._trans.__('Logged out; the identity provider has revoked the login.')
          : this._trans.__('Logged out here. The identity provider did not revoke the login.');
      return { kind: 'done', text };
    });
  }

  revoke(profile: string, handle: string): Promise<boolean> {
    return this._tell(profile, async () => {
      await this._tokens.revoke(profile, handle);
      return { kind: 'done', text: this._trans.__('Revoked. Its workers get no further tokens.') };
    });
  }

  /** Injects the token into the current notebook's kernel. */
  inject(profile: string, params: Params): Promise<boolean> {
    return this._tell(profile, async () => {
      const env = this.variables[profile];
      const options = { params, ...(env && { env }) };
      const { done, notebook } = await this._inKernel(
        profile,
        (kernel, waits) => this._tokens.inject(kernel, profile, options, waits),
        this._trans.__('The kernel did not accept the token.')
      );
      const facts = [namesOf(done.env), notebook, done.language];
      const set =
        typeof done.env === 'string'
          ? this._trans.__('%1 is set in %2 (%3).', ...facts)
          : this._trans.__('%1 are set in %2 (%3).', ...facts);
      const text = [set, keptBy(done, this._trans)].join(' ').trim();
      return { kind: 'done', text, ...(isGiven(params) && { expiresAt: done.expires_at }) };
    });
  }

  /** Removes the profile's tokens from the current notebook's kernel. */
  removeFrom(profile: string): Promise<boolean> {
    return this._tell(profile, async () => {
      const { notebook } = await this._inKernel(
        profile,
        (kernel, waits) => this._tokens.removeFrom(kernel, profile, waits),
        this._trans.__('The kernel did not remove the token.')
      );
      return { kind: 'done', text: this._trans.__('Removed from %1.', notebook) };
    });
  }

  /** Waits until the current notebook's kernel has done what it is asked. @param refused - Said if it has not. */
  private async _inKernel(
    profile: string,
    ask: (kernelId: string, waits: () => void) => Promise<IInjection>,
    refused: string
  ): Promise<{ done: IInjection; notebook: string }> {
    const { kernel } = this._notebook;
    if (!kernel) {
      throw new Error(
        this._trans.__('The current notebook has no running kernel, or no notebook is open.')
      );
    }
    const { id, notebook } = kernel;
    const text = this._trans.__('Waiting for the kernel of %1, which is busy.', notebook);
    const done = await ask(id, () => this._tokens.setOutcome(profile, { kind: 'waiting', text }));
    if (done.state === 'failed') {
      throw new Error(done.message ?? refused);
    }
    return { done, notebook };
  }

  copy(profile: string, params: Params): Promise<boolean> {
    return this._tell(profile, async () => {
      const { value } = await this._tokens.reveal(profile, params);
      await copyText(shown(value), this._trans);
      return { kind: 'done', text: this._trans.__('Copied to the clipboard.') };
    });
  }

  /**
   * Copies a text that is not a secret: code without a token, or the code that a user types to log
   * in.
   */
  copyPlain(profile: string, code: string): Promise<boolean> {
    return this._tell(profile, async () => {
      await copyText(code, this._trans);
      return { kind: 'done', text: this._trans.__('Copied to the clipboard.') };
    });
  }

  /** Inserts code as a cell of the current notebook. */
  insert(profile: string, code: string): Promise<boolean> {
    return this._tell(profile, () => {
      this._notebook.insert(code);
      return Promise.resolve({ kind: 'done', text: this._trans.__('Inserted.') });
    });
  }

  /** Passes the value and its expiry to `show`, and to nothing else. */
  reveal(
    profile: string,
    params: Params,
    show: (value: string, expiresAt: string | null) => void
  ): Promise<boolean> {
    return this._tell(profile, async () => {
      const { value, expires_at } = await this._tokens.reveal(profile, params);
      show(shown(value), expires_at);
      return null;
    });
  }

  /** Refreshes all tokens that have been fetched. */
  async refreshAll(): Promise<void> {
    const known = this._tokens.profiles?.filter(profile => profile.state !== 'none') ?? [];
    await Promise.all(known.map(profile => this.fetch(profile.name, profile.token_params, true)));
  }

  private async _tell(profile: string, work: () => Promise<Outcome | null>): Promise<boolean> {
    try {
      this._tokens.setOutcome(profile, await work());
      return true;
    } catch (error) {
      const problem = problemOf(error);
      this._tokens.setOutcome(
        profile,
        problem.reason === CANCELLED
          ? { kind: 'done', text: problem.message }
          : { kind: 'problem', problem }
      );
      return false;
    }
  }
}

/** A sentence on whether the kernel or the server keeps an injected token fresh. */
function keptBy({ kept_by, expires_at }: IInjection, trans: TranslationBundle): string {
  if (kept_by === 'kernel') {
    return trans.__('The kernel keeps it fresh.');
  }
  if (kept_by === 'server') {
    return trans.__('The server keeps it fresh.');
  }
  return expires_at === null ? '' : trans.__('It is not kept fresh.');
}

function isGiven(params: Params): boolean {
  return Object.keys(params).length > 0;
}

/** A token's value; several values as `NAME=VALUE`, one per line. */
function shown(value: ITokenFacts['value']): string {
  return typeof value === 'object' && value !== null
    ? Object.entries(value)
        .map(pair => pair.join('='))
        .join('\n')
    : (value ?? '');
}
