import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

/** Where the plugins' ids, commands and settings begin. */
export const NAMESPACE = 'jupyter-tokens';

/** The plugin whose schema holds the settings. */
export const PLUGIN_ID = `${NAMESPACE}:plugin`;

/** Seconds for which a value is shown, at most. */
export const REVEAL_SECONDS = 20;

export type State = 'none' | 'fresh' | 'aging' | 'expired' | 'failed';

/** What was wrong, as the server tells it: the vendor's own code and request id are kept. */
export interface IProblem {
  readonly message: string;
  readonly reason: string;
  readonly code: string | null;
  readonly request_id: string | null;
  readonly retryable: boolean;
}

export type Value = string | number | boolean | readonly string[];
export type Params = Readonly<Record<string, Value>>;

/** A value as it can be typed: a list has spaces between its texts. */
export function written(value: Value): string {
  return typeof value === 'object' ? value.join(' ') : String(value);
}

/** A profile and the state of the token that a call without parameters gets. */
export interface IProfile {
  readonly name: string;
  readonly provider: string | null;
  readonly title: string | null;
  readonly env: string | null;
  readonly params: Params;
  /** Of the token that the state, the end and the error are about. */
  readonly token_params: Params;
  readonly sandbox: boolean;
  readonly state: State;
  readonly expires_at: string | null;
  readonly has_value: boolean | null;
  readonly error: IProblem | null;
}

/** The part of JSON schema that providers describe themselves in. */
export interface IFieldSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly default?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly writeOnly?: boolean;
}

export interface IObjectSchema {
  readonly properties: Readonly<Record<string, IFieldSchema>>;
  readonly required?: readonly string[];
}

export interface IProvider {
  readonly id: string;
  readonly title: string;
  readonly settings: IObjectSchema;
  readonly params: IObjectSchema;
}

/** What is known of a token; its value only in the answer to a reveal. */
export interface ITokenFacts {
  readonly profile: string;
  readonly expires_at: string | null;
  readonly has_value: boolean;
  readonly value?: string | null;
}

/** Who renews a token where it was put; null for nobody. */
export type KeptBy = 'kernel' | 'server' | null;

export interface IInjection {
  readonly id: string;
  readonly state: 'queued' | 'done' | 'failed';
  readonly kernel_id: string;
  readonly profile: string;
  readonly env: string;
  readonly language: string;
  readonly expires_at: string | null;
  readonly kept_by: KeptBy;
  readonly message: string | null;
}

/** A token that a kernel holds. */
export interface IHolding {
  readonly kernel_id: string;
  readonly profile: string;
  readonly env: string | null;
  readonly expires_at: string | null;
  readonly kept_by: KeptBy;
}

/** How a secret goes to the server: to be stored there, or as it is there already. */
export type SentSecret =
  { readonly value: string; readonly store: 'keyring' | 'file' } | { readonly keep: true };
export type Setting = Value | Params | SentSecret;
export type Settings = Readonly<Record<string, Setting>>;

/** A profile as it can be edited: secrets by their names alone. */
export interface IEditable {
  readonly name: string;
  readonly settings: Readonly<Record<string, Value | Params>>;
  readonly secrets: readonly string[];
}

/** What a card says of the last thing that was asked for. */
export type Outcome =
  | { readonly kind: 'done'; readonly text: string; readonly expiresAt?: string | null }
  | { readonly kind: 'problem'; readonly problem: IProblem };

export interface IInjectRequest {
  readonly env?: string;
  readonly params?: Params;
  readonly refresh?: boolean;
}

/** The profiles of the server, followed; other extensions may ask for it. */
export interface ITokens {
  /** Emitted when anything that can be asked of this object is another. */
  readonly changed: ISignal<ITokens, void>;
  /** Emitted when a token that is held could not be refreshed. */
  readonly refreshFailed: ISignal<ITokens, IProfile>;
  /** Null until the server has answered. */
  readonly profiles: readonly IProfile[] | null;
  readonly providers: readonly IProvider[];
  readonly holdings: readonly IHolding[];
  /** Whether the administrator allows to show tokens. */
  readonly mayReveal: boolean;
  /** Whether the administrator allows to change profiles. */
  readonly mayEdit: boolean;
  /** Why the server cannot be asked; null if it can. */
  readonly problem: IProblem | null;

  /** Whether the server has started a kernel with the extension loaded. */
  isLoadedIn(kernelId: string): boolean;
  /** Milliseconds since the epoch by the server's clock. */
  now(): number;
  /** Whether something is under way for a profile. */
  busy(profile: string): boolean;
  outcome(profile: string): Outcome | null;
  setOutcome(profile: string, outcome: Outcome | null): void;
  /** Looks at the profiles now. */
  look(): Promise<void>;

  fetch(profile: string, params: Params, refresh: boolean): Promise<ITokenFacts>;
  forget(profile: string): Promise<void>;
  /** The value itself: whoever asks must not keep it. */
  reveal(profile: string, params: Params): Promise<string>;
  /** Ends when the kernel has the token, however long it is busy. */
  inject(
    kernelId: string,
    profile: string,
    request: IInjectRequest,
    waits: () => void
  ): Promise<IInjection>;

  editable(profile: string): Promise<IEditable>;
  put(profile: string, settings: Settings): Promise<void>;
  remove(profile: string): Promise<void>;
}

export const ITokens = new Token<ITokens>(
  `${NAMESPACE}:ITokens`,
  'The token profiles of the server and what can be done with them.'
);
