import type { Event, ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { JSONExt, type ReadonlyJSONValue } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import { Poll, Throttler } from '@lumino/polling';
import { Signal } from '@lumino/signaling';

import { CANCELLED, problemOf, request, RequestError, UNREACHABLE, type Method } from './request';
import { eventSchema } from './tokens';
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
/** The server's events after which a profile, a kernel or the history may be in another state. */
const CHANGES: ReadonlySet<string> = new Set([
  ...[
    'failed',
    'fetched',
    'forgotten',
    'handle',
    'held',
    'injected',
    'login',
    'refused',
    'revealed',
    'served'
  ].map(eventSchema),
  // A kernel that was restarted or shut down has no token any more.
  'https://events.jupyter.org/jupyter_server/kernel_actions/v1'
]);

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
    this._soon.dispose();
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
    await this._poll.tick;
  }

  fetch(profile: string, params: Params, refresh: boolean): Promise<ITokenFacts> {
    return this._during(profile, signal =>
      this._ask<ITokenFacts>('POST', ['profiles', profile, 'token'], { params, refresh }, signal)
    );
  }

  async forget(profile: string): Promise<void> {
    await this._during(profile, signal =>
      this._ask('DELETE', ['profiles', profile, 'token'], undefined, signal)
    );
  }

  reveal(profile: string, params: Params): Promise<ITokenFacts> {
    const body = { params, reveal: true };
    return this._during(profile, signal =>
      this._ask<ITokenFacts>('POST', ['profiles', profile, 'token'], body, signal)
    );
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
        while (attempt.state === 'waiting' && !this.isDisposed) {
          this._attempts.set(profile, attempt);
          this.changed.emit();
          await pause(attempt.interval * 1000, signal);
          if (signal.aborted) {
            break;
          }
          attempt = await this._lookAtLogin([...path, attempt.id], attempt, signal);
        }
      } finally {
        this._attempts.delete(profile);
      }
      return attempt;
    });
  }

  private async _lookAtLogin(
    path: readonly string[],
    attempt: ILoginAttempt,
    signal: AbortSignal
  ): Promise<ILoginAttempt> {
    try {
      return await this._ask<ILoginAttempt>('GET', path, undefined, signal);
    } catch (error) {
      return unlessSilent(error, attempt);
    }
  }

  logOut(profile: string): Promise<ILogout> {
    return this._during(profile, signal =>
      this._ask<ILogout>('DELETE', ['profiles', profile, 'login'], undefined, signal)
    );
  }

  async revoke(profile: string, handle: string): Promise<void> {
    await this._during(profile, signal =>
      this._ask('DELETE', ['handles', handle], undefined, signal)
    );
  }

  /** @param waits - Called once if the kernel is busy. */
  async inject(
    kernelId: string,
    profile: string,
    wanted: IInjectRequest,
    waits: () => void
  ): Promise<IInjection> {
    const path = ['kernels', kernelId, 'inject'];
    const injection = await this._during(profile, signal =>
      this._ask<IInjection>('POST', path, { profile, ...wanted }, signal)
    );
    return this._untilEnded(path, injection, waits);
  }

  /** @param waits - As for `inject`. */
  async removeFrom(kernelId: string, profile: string, waits: () => void): Promise<IInjection> {
    const path = ['kernels', kernelId, 'inject'];
    const removal = await this._during(profile, signal =>
      this._ask<IInjection>('DELETE', path, undefined, signal, { profile })
    );
    return this._untilEnded(path, removal, waits);
  }

  private async _untilEnded(
    path: readonly string[],
    injection: IInjection,
    waits: () => void
  ): Promise<IInjection> {
    if (injection.state === 'queued') {
      waits();
    }
    // A cell may run for hours; the card stays usable meanwhile.
    for (
      let pause = LOOK_MS;
      injection.state === 'queued';
      pause = Math.min(2 * pause, MOST_LOOK_MS)
    ) {
      await new Promise(resolve => setTimeout(resolve, pause));
      if (this.isDisposed) {
        break;
      }
      if (!document.hidden) {
        injection = await this._lookAt(path, injection);
      }
    }
    return injection;
  }

  private async _lookAt(path: readonly string[], injection: IInjection): Promise<IInjection> {
    try {
      const now = await this._ask<IInjection>('GET', [...path, injection.id]);
      if (now.state === 'done') {
        await this._load();
      }
      return now;
    } catch (error) {
      return unlessSilent(error, injection);
    }
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

  async put(profile: string, settings: Settings): Promise<void> {
    await this._during(profile, signal =>
      this._ask('PUT', ['profiles', profile], settings, signal)
    );
  }

  async remove(profile: string): Promise<void> {
    await this._during(profile, signal =>
      this._ask('DELETE', ['profiles', profile], undefined, signal)
    );
  }

  private _heard(_: unknown, { schema_id }: Event.Emission): void {
    if (CHANGES.has(schema_id)) {
      this._isDue = true;
      void this._catchUp();
    }
  }

  /** Polls again if there was an event during the poll: the throttler ignores calls meanwhile. */
  private async _catchUp(): Promise<void> {
    while (this._isDue) {
      await this._soon.invoke();
    }
  }

  private async _load(): Promise<void> {
    const turn = ++this._turn;
    const ask = <T>(path: string): Promise<T> =>
      this._ask<T>('GET', [path], undefined, AbortSignal.timeout(STALLED_MS));
    try {
      const [listed, held, providers] = await Promise.all([
        ask<IProfilesAnswer>('profiles'),
        ask<IHoldingsAnswer>('holdings').catch(unlessForbidden),
        this.providers.length > 0
          ? { providers: this.providers, secret_stores: this.stores }
          : ask<IProvidersAnswer>('providers')
      ]);
      if (turn === this._turn) {
        this.stores = providers.secret_stores;
        this._take(listed, held, providers.providers);
        this._pace();
      }
    } catch (error) {
      if (turn === this._turn) {
        this.problem = problemOf(error);
        this.changed.emit();
      }
      throw error;
    }
  }

  /** Unchanged profiles stay the same objects, so that only changed cards are rendered again. */
  private _take(
    listed: IProfilesAnswer,
    { holdings, handles }: IHoldingsAnswer,
    providers: readonly IProvider[]
  ): void {
    const before = new Map(this.profiles?.map(profile => [profile.name, profile]));
    const profiles = listed.profiles.map(profile => same(before.get(profile.name), profile));
    if (this.problem !== null) {
      this._dropUnreachable();
    }
    const another =
      this.problem !== null ||
      profiles.length !== this.profiles?.length ||
      profiles.some((profile, index) => profile !== this.profiles?.[index]) ||
      !alike(holdings, this.holdings) ||
      !alike(handles, this.handles) ||
      listed.may_reveal !== this.mayReveal ||
      listed.may_edit !== this.mayEdit ||
      listed.problem?.message !== this.serviceProblem?.message ||
      !alike(listed.loaded_in, this._loadedIn) ||
      providers !== this.providers ||
      this.happened !== this._told;
    if (!another) {
      return;
    }
    this._told = this.happened;
    this.profiles = profiles;
    this.holdings = same(this.holdings, holdings);
    this.handles = same(this.handles, handles);
    this._loadedIn = listed.loaded_in;
    this.mayReveal = listed.may_reveal;
    this.mayEdit = listed.may_edit;
    this.providers = providers;
    this.problem = null;
    this.serviceProblem = listed.problem ?? null;
    this.changed.emit();
    for (const profile of profiles) {
      const old = before.get(profile.name);
      if (old && profile.error && !old.error && old.expires_at && !this.busy(profile.name)) {
        this.refreshFailed.emit(profile);
      }
    }
  }

  /** The server is back: removes what the cards say about its absence. */
  private _dropUnreachable(): void {
    for (const [profile, outcome] of this._outcomes) {
      if (outcome.kind === 'problem' && outcome.problem.reason === UNREACHABLE) {
        this._outcomes.delete(profile);
      }
    }
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
      try {
        await this._load();
      } catch {
        // The panel already shows this problem.
      }
      waits.delete(wait);
      if (waits.size === 0) {
        this._waits.delete(profile);
      }
      this.changed.emit();
      void this._poll.schedule({ interval: this._poll.frequency.interval });
    }
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
  private readonly _soon = new Throttler(
    () => {
      this._isDue = false;
      this.happened++;
      return this.look();
    },
    { limit: EVENTS_MS, edge: 'trailing' }
  );
  /** Whether there was an event since the last poll for events began. */
  private _isDue = false;
  /** The running actions of each profile. */
  private readonly _waits = new Map<string, Set<AbortController>>();
  /** The pending login of each profile. */
  private readonly _attempts = new Map<string, ILoginAttempt>();
  private readonly _outcomes = new Map<string, Outcome>();
  private _loadedIn: readonly string[] = [];
  private _ahead = 0;
  private _turn = 0;
  /** The last `happened` that `changed` was emitted for. */
  private _told = 0;
}

/** Users who may fetch but not inject see the profiles without holdings. */
function unlessForbidden(error: unknown): IHoldingsAnswer {
  if (error instanceof RequestError && error.status === 403) {
    return { holdings: [], handles: [] };
  }
  throw error;
}

/**
 * Returns the last known state if the server does not answer, so that polling goes on; throws any
 * other error.
 */
function unlessSilent<T>(error: unknown, before: T): T {
  if (error instanceof RequestError && error.status === null) {
    return before;
  }
  throw error;
}

/** Waits this many milliseconds, or until the signal is aborted. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const timer = setTimeout(resolve, milliseconds);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', end, { once: true });
  });
}

function alike(first: object, second: object): boolean {
  return JSONExt.deepEqual(first as ReadonlyJSONValue, second as ReadonlyJSONValue);
}

function same<T extends object>(before: T | undefined, after: T): T {
  return before && alike(before, after) ? before : after;
}
