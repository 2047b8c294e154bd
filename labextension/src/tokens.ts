import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

/** The prefix of plugin ids, commands and settings. */
export const NAMESPACE = 'jupyter-tokens';

/** The plugin whose schema holds the settings. */
export const PLUGIN_ID = `${NAMESPACE}:plugin`;

/** What the schemas of the server's events begin with. */
export const EVENTS = 'https://github.com/jupyter-tokens/jupyter_tokens/events/';

/** The server has found a token in a notebook that was to be saved. */
export const FOUND_EVENT = `${EVENTS}found/v1`;

/** The longest time that a value is shown, in seconds. */
export const REVEAL_SECONDS = 20;

export type State = 'none' | 'fresh' | 'aging' | 'expired' | 'failed' | 'login';

/** An error as the server reports it, with the vendor's own code and request id. */
export interface IProblem {
  readonly message: string;
  readonly reason: string;
  readonly code: string | null;
  readonly request_id: string | null;
  readonly retryable: boolean;
  /** The profile's setting that is wrong, if known. */
  readonly setting?: string;
}

export type Value = string | number | boolean | readonly string[];
export type Params = Readonly<Record<string, Value>>;

/** A value as a user types it: the items of a list are separated by spaces. */
export function written(value: Value): string {
  return typeof value === 'object' ? value.join(' ') : String(value);
}

/**
 * The environment variable that a profile sets; for a token with several values, a variable for
 * each of them.
 */
export type Env = string | Readonly<Record<string, string>>;

/** The names of the variables. */
export function namesOf(env: Env): string {
  return typeof env === 'string' ? env : Object.values(env).join(', ');
}

/** Who is logged in to a profile that needs a login. */
export interface ILogin {
  readonly logged_in: boolean;
  /** Null if nobody is logged in, or if the identity provider does not report a name. */
  readonly who: string | null;
  readonly since: string | null;
}

/** A login that has begun. */
export interface ILoginAttempt {
  readonly id: string;
  readonly state: 'waiting' | 'done' | 'failed';
  /**
   * The page for this browser to open; null for another device, and after the browser was
   * redirected back.
   */
  readonly url: string | null;
  /** For another device: the code, and the page to type it on. */
  readonly user_code: string | null;
  readonly verification_uri: string | null;
  /** The same page with the code filled in, if there is one. */
  readonly verification_uri_complete: string | null;
  /** Seconds to wait before the next poll. */
  readonly interval: number;
  readonly who: string | null;
  readonly error: IProblem | null;
}

/** The result of a logout. */
export interface ILogout {
  readonly was_logged_in: boolean;
  /** Whether the identity provider has revoked the login, too. */
  readonly revoked: boolean;
}

/** Python code that uses a profile's tokens with an SDK. */
export interface ISdk {
  /** The name that `%gettoken --sdk` accepts. */
  readonly name: string;
  readonly title: string;
  readonly imports: string;
  /** What follows the imports. */
  readonly code: string;
  /** Whether the code uses the variable `token`; otherwise `%gettoken --sdk` comes first. */
  readonly takes_token: boolean;
}

/** A profile, and the state of its token. */
export interface IProfile {
  readonly name: string;
  readonly provider: string | null;
  readonly title: string | null;
  readonly env: Env | null;
  /** Base URL of the API that the token is for; null if the profile has none. */
  readonly base_url: string | null;
  /**
   * The HTTP header for the token, and the scheme before it, such as `Bearer`; null if the profile
   * is invalid.
   */
  readonly header: string | null;
  readonly scheme: string | null;
  readonly params: Params;
  /** The parameters of the token that state, expiry and error belong to. */
  readonly token_params: Params;
  readonly sandbox: boolean;
  readonly state: State;
  readonly expires_at: string | null;
  readonly has_value: boolean | null;
  /** Null for a profile that needs no login. */
  readonly login: ILogin | null;
  /** Where its tokens are fetched, such as the hub's token service; empty for this server. */
  readonly origin: string;
  /** Whether the server or service that fetches its tokens allows revealing them. */
  readonly may_reveal: boolean;
  readonly sdks: readonly ISdk[];
  readonly error: IProblem | null;
}

/** The part of JSON schema that providers use. */
export interface IFieldSchema {
  readonly type?: string | readonly string[];
  /** The label; if missing, the property's name is shown. */
  readonly title?: string;
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly default?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly writeOnly?: boolean;
  readonly examples?: readonly string[];
  readonly 'x-advanced'?: boolean;
  /**
   * If present, the API can list the parameter's values; these are the other parameters that it
   * needs for that.
   */
  readonly 'x-listed-by'?: readonly string[];
  /** The ways to sign in that use this setting; if missing or empty, all do. */
  readonly 'x-sign-in'?: readonly string[];
  /**
   * Required if any of these holds: `sign_in` is the chosen way, and the setting `without` is
   * empty.
   */
  readonly 'x-required-when'?: readonly {
    readonly sign_in?: string;
    readonly without?: string;
  }[];
}

/** A value that a parameter can have, with its name or state for people. */
export interface IListed {
  readonly id: string;
  readonly label: string;
}

/** One of several ways to sign in. */
export interface ISignIn {
  readonly id: string;
  readonly title: string;
  readonly required: readonly string[];
  readonly optional: readonly string[];
  /** The settings that select this way. */
  readonly set?: Readonly<Record<string, string>>;
}

export interface IObjectSchema {
  readonly properties: Readonly<Record<string, IFieldSchema>>;
  readonly required?: readonly string[];
  readonly 'x-sign-in'?: readonly ISignIn[];
}

export interface IProvider {
  readonly id: string;
  readonly title: string;
  /** The names of a token's values, if there are several that belong together. */
  readonly fields: readonly string[];
  readonly settings: IObjectSchema;
  readonly params: IObjectSchema;
}

/** Facts about a token; the value is only in the response to a reveal. */
export interface ITokenFacts {
  readonly profile: string;
  readonly expires_at: string | null;
  readonly has_value: boolean;
  /** The value, or several values by name. */
  readonly value?: Env | null;
}

/** What keeps an injected token fresh; null if nothing does. */
export type KeptBy = 'kernel' | 'server' | null;

export interface IInjection {
  readonly id: string;
  readonly state: 'queued' | 'done' | 'failed';
  readonly kernel_id: string;
  readonly profile: string;
  readonly env: Env;
  readonly language: string;
  readonly expires_at: string | null;
  readonly kept_by: KeptBy;
  readonly message: string | null;
}

/** A token in a kernel. */
export interface IHolding {
  readonly kernel_id: string;
  readonly profile: string;
  readonly env: string | null;
  readonly expires_at: string | null;
  readonly kept_by: KeptBy;
}

/** A handle, with which workers get tokens; without its key. */
export interface IHandle {
  readonly id: string;
  readonly profile: string;
  readonly params: Params;
  /** Who may renew it: `kernel ID` or `user`. */
  readonly owner: string;
  readonly lease_ends_at: string;
  /** The number of tokens that workers got with it. */
  readonly uses: number;
}

/** Something that happened to a token, as the server remembers it. */
export interface IHistoryEntry {
  readonly at: string;
  readonly kind:
    | 'fetched'
    | 'served'
    | 'revealed'
    | 'injected'
    | 'forgotten'
    | 'refused'
    | 'failed'
    | 'handle'
    | 'login';
  readonly profile: string | null;
  readonly user: string | null;
  readonly kernel_id: string | null;
  readonly to: 'kernel' | 'sdk' | 'worker' | 'proxy' | null;
  /** Of a login: in or out; of a handle: issued or revoked. */
  readonly what: 'in' | 'out' | 'issued' | 'revoked' | null;
  readonly reason: string | null;
}

/** A secret as it is sent to the server: a new value to store, or `keep` for the stored one. */
export type SentSecret =
  { readonly value: string; readonly store: Store } | { readonly keep: true };
export type Setting = Value | Params | SentSecret;
export type Settings = Readonly<Record<string, Setting>>;

/** A profile for editing: secrets only by their names. */
export interface IEditable {
  readonly name: string;
  readonly settings: Readonly<Record<string, Value | Params>>;
  readonly secrets: readonly string[];
}

/**
 * A credential that the server's user already has, without its value, and a profile that would use
 * it.
 */
export interface IFound {
  /** The variable, or the file. */
  readonly title: string;
  readonly profile: string;
  readonly settings: Readonly<Record<string, string>>;
}

/** Where the server can store a secret. */
export type Store = 'keyring' | 'file';

/** The result of the last action, or what it waits for, as the card shows it. */
export type Outcome =
  | { readonly kind: 'done'; readonly text: string; readonly expiresAt?: string | null }
  | { readonly kind: 'waiting'; readonly text: string }
  | { readonly kind: 'problem'; readonly problem: IProblem };

export interface IInjectRequest {
  readonly env?: string;
  readonly params?: Params;
  readonly refresh?: boolean;
}

/** The profiles of the server, kept up to date; other extensions can use it. */
export interface ITokens {
  /** Emitted when anything in this object may have changed. */
  readonly changed: ISignal<ITokens, void>;
  /** Emitted when a token could not be refreshed. */
  readonly refreshFailed: ISignal<ITokens, IProfile>;
  /** Null until the server has answered. */
  readonly profiles: readonly IProfile[] | null;
  readonly providers: readonly IProvider[];
  /** Where the server can store secrets, the best place first. */
  readonly stores: readonly Store[];
  readonly holdings: readonly IHolding[];
  readonly handles: readonly IHandle[];
  /** Whether the administrator allows revealing tokens. */
  readonly mayReveal: boolean;
  /** Whether the administrator allows editing profiles. */
  readonly mayEdit: boolean;
  /** Grows after each event of the server about tokens. */
  readonly happened: number;
  /** Why the server cannot be used; null if it can. */
  readonly problem: IProblem | null;
  /** Why profiles of the hub's token service are missing; null if none are. */
  readonly serviceProblem: IProblem | null;

  /** Whether the server has started a kernel with the extension loaded. */
  isLoadedIn(kernelId: string): boolean;
  /** Milliseconds since the epoch by the server's clock. */
  now(): number;
  /** Whether an action of a profile is running. */
  busy(profile: string): boolean;
  /** Stops waiting for the running actions of a profile. */
  cancel(profile: string): void;
  outcome(profile: string): Outcome | null;
  setOutcome(profile: string, outcome: Outcome | null): void;
  /** Polls the profiles now. */
  look(): Promise<void>;

  fetch(profile: string, params: Params, refresh: boolean): Promise<ITokenFacts>;
  forget(profile: string): Promise<void>;
  /** Returns the token with its value, which callers must not store. */
  reveal(profile: string, params: Params): Promise<ITokenFacts>;
  /** The pending login of a profile; null if there is none. */
  attempt(profile: string): ILoginAttempt | null;
  /**
   * Logs a user in. Resolves when the login is done or has failed, or when the user cancels: its
   * state is then still `waiting`.
   *
   * @param begun - Called with the login when it has started.
   */
  logIn(profile: string, begun: (attempt: ILoginAttempt) => void): Promise<ILoginAttempt>;
  logOut(profile: string): Promise<ILogout>;
  /** Ends a handle of the profile: its workers get no further tokens. */
  revoke(profile: string, handle: string): Promise<void>;

  /**
   * Resolves when the kernel has the token, however long it is busy.
   *
   * @param waits - Called once if the kernel is busy.
   */
  inject(
    kernelId: string,
    profile: string,
    request: IInjectRequest,
    waits: () => void
  ): Promise<IInjection>;

  /** Removes a profile's tokens from a kernel. Waits for a busy kernel, like `inject`. */
  removeFrom(kernelId: string, profile: string, waits: () => void): Promise<IInjection>;

  /** The last events, the newest first. */
  history(): Promise<readonly IHistoryEntry[]>;

  /** The credentials that could be imported. */
  importable(): Promise<readonly IFound[]>;

  /**
   * Asks the API for the values that a parameter can have.
   *
   * @param params - The other parameters.
   * @param settings - A profile that has not been saved yet.
   */
  values(
    profile: string,
    param: string,
    params: Params,
    settings?: Settings
  ): Promise<readonly IListed[]>;

  editable(profile: string): Promise<IEditable>;
  put(profile: string, settings: Settings): Promise<void>;
  remove(profile: string): Promise<void>;
}

export const ITokens = new Token<ITokens>(
  `${NAMESPACE}:ITokens`,
  'The token profiles of the server and what can be done with them.'
);
