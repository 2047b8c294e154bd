import type { Event, ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { Signal } from '@lumino/signaling';

import { CANCELLED, problemOf, request, RequestError, UNREACHABLE, type Method } from './request';
import { EVENTS, FOUND_EVENT } from './tokens';
import type {
  IEditable,
  IFound,
  IHandle,
  IHistoryEntry,
  IHolding,
  IInjection,
  IInjectRequest,
  IListed,
  ILoginAttempt,
  ILogout,
  IProblem,
  IProfile,
  IProvider,
  ITokenFacts,
  ITokens,
  Outcome,
  Params,
  Settings,
  Store
} from './tokens';

/** First pause between two polls of an injection that waits for a busy kernel, in ms; each pause is longer. */
const LOOK_MS = 100;
const MOST_LOOK_MS = 30_000;
/** Pause between two polls shortly before a token expires. */
const SOONEST_MS = 1000;
const OUTCOME_MS = 10_000;
/** Pause between two polls while the server does not answer; short, so that a restart is noticed soon. */
const MOST_BACKOFF_MS = 30_000;
/**
 * Time limit for a poll's requests. The server contacts no API for them, so a longer wait means
 * that it is stalled.
 */
const STALLED_MS = 10_000;
/** Pause after an event before polling: one fetch emits several events. */
const EVENTS_MS = 200;
/** A kernel that was restarted or shut down has no token any more. */
const KERNEL_EVENT = 'https://events.jupyter.org/jupyter_server/kernel_actions/v1';

interface IProvidersAnswer {
  readonly providers: readonly IProvider[];
  readonly secret_stores: readonly Store[];
}

interface IHoldingsAnswer {
  readonly holdings: readonly IHolding[];
  readonly handles: readonly IHandle[];
}

interface IProfilesAnswer {
  readonly profiles: readonly IProfile[];
  readonly may_reveal: boolean;
  readonly may_edit: boolean;
  readonly loaded_in: readonly string[];
  readonly problem?: IProblem;
}

/** The profiles of one server, polled while the page is visible. It holds no token values. */
export class TokensModel implements ITokens, IDisposable {
  constructor(
    private readonly _settings: ServerConnection.ISettings,
    private readonly _trans: TranslationBundle,
    private _pollSeconds: number
  ) {
    this._poll = new Poll({
      name: 'jupyter-tokens:profiles',
      auto: false,
      factory: () => this._load(),
      frequency: { interval: _pollSeconds * 1000, backoff: true, max: MOST_BACKOFF_MS },
      standby: 'when-hidden'
    });
  }

  readonly changed = new Signal<this, void>(this);
  readonly refreshFailed = new Signal<this, IProfile>(this);

  profiles: readonly IProfile[] | null = null;
  providers: readonly IProvider[] = [];
  stores: readonly Store[] = ['file'];
  holdings: readonly IHolding[] = [];
  handles: readonly IHandle[] = [];
  mayReveal = false;
  mayEdit = false;
  happened = 0;
  problem: IProblem | null = null;
  serviceProblem: IProblem | null = null;

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  dispose(): void {
    this._poll.dispose();
    clearTimeout(this._soon);
    Signal.clearData(this);
  }

  /** Polls shortly after the server has emitted an event about tokens. */
  follow(events: Event.IManager): void {
    events.stream.connect(this._heard, this);
  }

  /** Starts polling. */
  start(): void {
    void this._poll.start();
  }

  /** Seconds between two polls, if there is no error and no token is about to expire. */
  set pollSeconds(seconds: number) {
    this._pollSeconds = seconds;
    this._pace();
  }

  isLoadedIn(kernelId: string): boolean {
    return this._loadedIn.includes(kernelId);
  }

  now(): number {
    return Date.now() + this._ahead;
  }

  busy(profile: string): boolean {
    return this._waits.has(profile);
  }

  cancel(profile: string): void {
    this._waits.get(profile)?.forEach(wait => wait.abort(CANCELLED));
  }

  outcome(profile: string): Outcome | null {
    return this._outcomes.get(profile) ?? null;
  }

  setOutcome(profile: string, outcome: Outcome | null): void {
    if (outcome) {
      this._outcomes.set(profile, outcome);
    } else {
      this._outcomes.delete(profile);
    }
    this.changed.emit();
    if (outcome?.kind === 'done' && !outcome.expiresAt) {
      // A success message disappears soon.
      setTimeout(() => {
        if (this._outcomes.get(profile) === outcome) {
          this.setOutcome(profile, null);
        }
      }, OUTCOME_MS);
    }
  }

  async look(): Promise<void> {
    await this._poll.refresh();
    // It rejects if the model is disposed.
    await this._poll.tick.catch(() => undefined);
  }

  fetch(profile: string, params: Params, refresh: boolean): Promise<ITokenFacts> {
    return this._act(profile, 'POST', ['profiles', profile, 'token'], { params, refresh });
  }

  forget(profile: string): Promise<void> {
    return this._act(profile, 'DELETE', ['profiles', profile, 'token']);
  }

  reveal(profile: string, params: Params): Promise<ITokenFacts> {
    return this._act(profile, 'POST', ['profiles', profile, 'token'], { params, reveal: true });
  }

  attempt(profile: string): ILoginAttempt | null {
    return this._attempts.get(profile) ?? null;
  }

  logIn(profile: string, begun: (attempt: ILoginAttempt) => void): Promise<ILoginAttempt> {
    const path = ['profiles', profile, 'login'];
    return this._during(profile, async signal => {
      let attempt = await this._ask<ILoginAttempt>('POST', path, {}, signal);
      begun(attempt);
      try {
        while (attempt.state === 'waiting' && !signal.aborted && !this.isDisposed) {
          this._attempts.set(profile, attempt);
          this.changed.emit();
          await pause(attempt.interval * 1000, signal);
          attempt = await this._ask<ILoginAttempt>(
            'GET',
            [...path, attempt.id],
            undefined,
            signal
          ).catch(unlessSilent(attempt));
        }
      } finally {
        this._attempts.delete(profile);
      }
      return attempt;
    });
  }

  logOut(profile: string): Promise<ILogout> {
    return this._act(profile, 'DELETE', ['profiles', profile, 'login']);
  }

  revoke(profile: string, handle: string): Promise<void> {
    return this._act(profile, 'DELETE', ['handles', handle]);
  }

  async inject(
    kernelId: string,
    profile: string,
    wanted: IInjectRequest,
    waits: () => void
  ): Promise<IInjection> {
    const path = ['kernels', kernelId, 'inject'];
    const begun = await this._act<IInjection>(profile, 'POST', path, { profile, ...wanted });
    return this._untilEnded(path, begun, waits);
  }

  async removeFrom(kernelId: string, profile: string, waits: () => void): Promise<IInjection> {
    const path = ['kernels', kernelId, 'inject'];
    const begun = await this._act<IInjection>(profile, 'DELETE', path, undefined, { profile });
    return this._untilEnded(path, begun, waits);
  }

  private async _untilEnded(
    path: readonly string[],
    injection: IInjection,
    waits: () => void
  ): Promise<IInjection> {
    if (injection.state !== 'queued') {
      return injection;
    }
    waits();
    // A cell may run for hours; the card stays usable meanwhile.
    for (let wait = LOOK_MS; injection.state === 'queued' && !this.isDisposed; wait *= 2) {
      await pause(Math.min(wait, MOST_LOOK_MS));
      if (!document.hidden) {
        injection = await this._ask<IInjection>('GET', [...path, injection.id]).catch(
          unlessSilent(injection)
        );
      }
    }
    await this._reload();
    return injection;
  }

  async history(): Promise<readonly IHistoryEntry[]> {
    return (await this._ask<{ history: readonly IHistoryEntry[] }>('GET', ['history'])).history;
  }

  async importable(): Promise<readonly IFound[]> {
    return (await this._ask<{ found: readonly IFound[] }>('GET', ['import'])).found;
  }

  async values(
    profile: string,
    param: string,
    params: Params,
    settings?: Settings
  ): Promise<readonly IListed[]> {
    const body = { param, params, ...(settings && { settings }) };
    const path = ['profiles', profile, 'values'];
    return (await this._ask<{ values: readonly IListed[] }>('POST', path, body)).values;
  }

  editable(profile: string): Promise<IEditable> {
    return this._ask<IEditable>('GET', ['profiles', profile]);
  }

  put(profile: string, settings: Settings): Promise<void> {
    return this._act(profile, 'PUT', ['profiles', profile], settings);
  }

  remove(profile: string): Promise<void> {
    return this._act(profile, 'DELETE', ['profiles', profile]);
  }

  private _heard(_: unknown, { schema_id }: Event.Emission): void {
    const isOurs = schema_id.startsWith(EVENTS) && schema_id !== FOUND_EVENT;
    if (isOurs || schema_id === KERNEL_EVENT) {
      this._soon ??= setTimeout(() => {
        this._soon = undefined;
        this.happened++;
        // Not look(): that joins a poll under way, whose answer may be from before the event.
        void this._poll.schedule({ interval: Poll.IMMEDIATE, phase: 'refreshed' });
      }, EVENTS_MS);
    }
  }

  private async _load(): Promise<void> {
    const turn = ++this._turn;
    const ask = <T>(path: string): Promise<T> =>
      this._ask<T>('GET', [path], undefined, AbortSignal.timeout(STALLED_MS));
    try {
      const [listed, held, provided] = await Promise.all([
        ask<IProfilesAnswer>('profiles'),
        ask<IHoldingsAnswer>('holdings').catch(unlessForbidden),
        this.providers.length > 0 ? null : ask<IProvidersAnswer>('providers')
      ]);
      if (turn > this._taken) {
        this._taken = turn;
        if (provided) {
          this.providers = provided.providers;
          this.stores = provided.secret_stores;
        }
        this._take(listed, held);
        this._pace();
      }
    } catch (error) {
      if (turn > this._taken) {
        this._taken = turn;
        this.problem = problemOf(error);
        this.changed.emit();
      }
      throw error;
    }
  }

  private _take(listed: IProfilesAnswer, held: IHoldingsAnswer): void {
    const read = JSON.stringify([listed, held, this.happened]);
    const isNew = read !== this._read || this.problem !== null;
    this._read = read;
    if (this.problem) {
      // The server is back: removes what the cards say about its absence.
      for (const [profile, outcome] of this._outcomes) {
        if (outcome.kind === 'problem' && outcome.problem.reason === UNREACHABLE) {
          this._outcomes.delete(profile);
        }
      }
    }
    const before = new Map(this.profiles?.map(profile => [profile.name, profile]));
    this.profiles = listed.profiles;
    this.holdings = held.holdings;
    this.handles = held.handles;
    this._loadedIn = listed.loaded_in;
    this.mayReveal = listed.may_reveal;
    this.mayEdit = listed.may_edit;
    this.problem = null;
    this.serviceProblem = listed.problem ?? null;
    if (isNew) {
      this.changed.emit();
    }
    for (const profile of listed.profiles) {
      const old = before.get(profile.name);
      if (old && profile.error && !old.error && old.expires_at && !this.busy(profile.name)) {
        this.refreshFailed.emit(profile);
      }
    }
  }

  /** Loads the state after an action. The panel shows a failure. */
  private async _reload(): Promise<void> {
    await this._load().catch(() => undefined);
  }

  /** The sooner a token expires, the sooner the next poll: the state changes in the last fifth of its life. */
  private _pace(): void {
    const now = this.now();
    const rests = this.profiles?.map(({ expires_at }) => Date.parse(expires_at ?? '') - now) ?? [];
    const rest = Math.min(...rests.filter(left => left > 0));
    const interval = Math.min(this._pollSeconds * 1000, Math.max(rest / 5, SOONEST_MS));
    const max = Math.max(MOST_BACKOFF_MS, this._pollSeconds * 1000);
    this._poll.frequency = { ...this._poll.frequency, interval, max };
  }

  /**
   * Runs an action of a profile. Its card is busy meanwhile; at the end, the profiles are loaded
   * again.
   */
  private async _during<T>(profile: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const wait = new AbortController();
    const waits = this._waits.get(profile) ?? new Set();
    this._waits.set(profile, waits.add(wait));
    this._outcomes.delete(profile);
    this.changed.emit();
    try {
      return await work(wait.signal);
    } finally {
      await this._reload();
      waits.delete(wait);
      if (waits.size === 0) {
        this._waits.delete(profile);
      }
      this.changed.emit();
      void this._poll.schedule({ interval: this._poll.frequency.interval });
    }
  }

  /** Runs an action that is one request. */
  private _act<T>(
    profile: string,
    method: Method,
    parts: readonly string[],
    body?: object,
    query?: Readonly<Record<string, string>>
  ): Promise<T> {
    return this._during(profile, signal => this._ask<T>(method, parts, body, signal, query));
  }

  private async _ask<T>(
    method: Method,
    parts: readonly string[],
    body?: object,
    signal?: AbortSignal,
    query?: Readonly<Record<string, string>>
  ): Promise<T> {
    const answer = await request<T>(
      this._settings,
      this._trans,
      method,
      parts,
      body,
      signal,
      query
    );
    if (answer.date !== null) {
      // The Date header has whole seconds, so only a larger difference matters.
      const ahead = answer.date - Date.now();
      this._ahead = Math.abs(ahead) > 2000 ? ahead : 0;
    }
    return answer.data;
  }

  private readonly _poll: Poll;
  /** The timer for the poll after an event. */
  private _soon: ReturnType<typeof setTimeout> | undefined;
  /** The running actions of each profile. */
  private readonly _waits = new Map<string, Set<AbortController>>();
  /** The pending login of each profile. */
  private readonly _attempts = new Map<string, ILoginAttempt>();
  private readonly _outcomes = new Map<string, Outcome>();
  private _loadedIn: readonly string[] = [];
  /** What was read last, as JSON. */
  private _read = '';
  private _ahead = 0;
  /** Counts the loads; an answer that is older than the one taken last is dropped. */
  private _turn = 0;
  private _taken = 0;
}

/** Users who may fetch but not inject see the profiles without holdings. */
function unlessForbidden(error: unknown): IHoldingsAnswer {
  if (error instanceof RequestError && error.status === 403) {
    return { holdings: [], handles: [] };
  }
  throw error;
}

/** Keeps the last known state if the server does not answer, so that polling goes on; throws any other error. */
function unlessSilent<T>(before: T): (error: unknown) => T {
  return error => {
    if (error instanceof RequestError && error.status === null) {
      return before;
    }
    throw error;
  };
}

/** Waits this many milliseconds, or until the signal is aborted. */
function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}
