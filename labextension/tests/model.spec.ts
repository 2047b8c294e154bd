import type { TranslationBundle } from '@jupyterlab/translation';
import type { Event } from '@jupyterlab/services';
import { PromiseDelegate } from '@lumino/coreutils';
import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { TokensModel } from '../src/model';
import { RequestError } from '../src/request';
import { EVENTS, type IProfile } from '../src/tokens';
import { PROBLEM, profile, PROVIDER } from './facts';
import { Server } from './server';

/** Marks what goes through it. */
const TRANS = {
  __: (text: string, ...values: string[]) => `«${text.replace('%1', () => values[0] ?? '')}»`
} as TranslationBundle;

let server: Server;
let model: TokensModel;

function list(...profiles: IProfile[]): void {
  server.answers['GET profiles'] = {
    profiles,
    may_reveal: true,
    may_edit: false,
    loaded_in: ['k1']
  };
}

beforeEach(async () => {
  server = new Server();
  server.answers = {
    'GET holdings': { holdings: [], handles: [] },
    'GET providers': { providers: [PROVIDER], secret_stores: ['file'] }
  };
  list(profile(), profile({ name: 'other' }));
  model = new TokensModel(server.settings, TRANS, 3600);
  model.start();
  await model.look();
});

afterEach(() => {
  model.dispose();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe('TokensModel', () => {
  it('asks for the providers once', async () => {
    await model.look();
    expect(server.seen.filter(({ path }) => path === 'providers')).toHaveLength(1);
    expect(model.providers).toEqual([PROVIDER]);
    expect(model.mayReveal).toBe(true);
    expect(model.mayEdit).toBe(false);
    expect(model.isLoadedIn('k1')).toBe(true);
    expect(model.isLoadedIn('k2')).toBe(false);
  });

  it('tells once that a token which was held could not be refreshed', async () => {
    const failed: string[] = [];
    model.refreshFailed.connect((_, { name }) => failed.push(name));
    const held = { state: 'fresh', expires_at: '2126-01-01T00:00:00Z', has_value: true } as const;
    list(profile(held));
    await model.look();
    list(profile({ ...held, state: 'aging', error: PROBLEM }));
    await model.look();
    await model.look();
    expect(failed).toEqual(['acme']);
  });

  it('keeps the profiles while the server is away, and says why', async () => {
    server.answers['GET profiles'] = null;
    await model.look();
    expect(model.problem?.reason).toBe('unreachable');
    expect(model.profiles).toHaveLength(2);
    list(profile());
    await model.look();
    expect(model.problem).toBeNull();
  });

  it("says why the hub's profiles are missing, and keeps the server's own", async () => {
    const listed = server.answers['GET profiles'] as object;
    server.answers['GET profiles'] = { ...listed, problem: PROBLEM };
    await model.look();
    expect(model.serviceProblem).toEqual(PROBLEM);
    expect(model.problem).toBeNull();
    server.answers['GET profiles'] = listed;
    await model.look();
    expect(model.serviceProblem).toBeNull();
  });

  it('takes a server that stalls for one that is away', async () => {
    server.answers['GET profiles'] = new Promise<object>(() => undefined);
    vi.spyOn(AbortSignal, 'timeout').mockReturnValue(AbortSignal.abort(new Error('timed out')));
    await model.look();
    expect(model.problem?.reason).toBe('unreachable');
  });

  it.each([
    `${EVENTS}fetched/v1`,
    `${EVENTS}held/v1`,
    'https://events.jupyter.org/jupyter_server/kernel_actions/v1'
  ])('looks again when the server says “%s”', async schema => {
    const stream = new Signal<object, Event.Emission>({});
    model.follow({ stream } as unknown as Event.IManager);
    list(profile({ state: 'fresh' }));
    const changed = new Promise<void>(resolve => model.changed.connect(() => resolve()));
    stream.emit({ schema_id: schema });
    await changed;
    expect(model.profiles?.map(({ state }) => state)).toEqual(['fresh']);
  });

  // The answer comes before or after the poll for the second event would begin.
  it.each([0, 300])('looks again after an event while it looks, for %d ms more', async wait => {
    const stream = new Signal<object, Event.Emission>({});
    model.follow({ stream } as unknown as Event.IManager);
    vi.useFakeTimers();
    const before = server.answers['GET profiles'] as object;
    const slow = new PromiseDelegate<object>();
    server.answers['GET profiles'] = slow.promise;
    stream.emit({ schema_id: `${EVENTS}fetched/v1` });
    await vi.advanceTimersByTimeAsync(1000);
    list(profile({ state: 'fresh' }));
    stream.emit({ schema_id: `${EVENTS}injected/v1` });
    await vi.advanceTimersByTimeAsync(wait);
    slow.resolve(before);
    await vi.advanceTimersByTimeAsync(1000);
    expect(model.profiles?.map(({ state }) => state)).toEqual(['fresh']);
    const seen = server.seen.length;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(server.seen).toHaveLength(seen);
  });

  it('signals a change only if something differs', async () => {
    const told = vi.fn();
    model.changed.connect(told);
    await model.look();
    expect(told).not.toHaveBeenCalled();
    list(profile({ state: 'fresh' }));
    await model.look();
    expect(told).toHaveBeenCalledTimes(1);
    const listed = server.answers['GET profiles'] as object;
    server.answers['GET profiles'] = null;
    await model.look();
    expect(told).toHaveBeenCalledTimes(2);
    server.answers['GET profiles'] = listed;
    await model.look();
    expect(told).toHaveBeenCalledTimes(3);
  });

  it('signals an event that changes only the history', async () => {
    const stream = new Signal<object, Event.Emission>({});
    model.follow({ stream } as unknown as Event.IManager);
    const told = vi.fn();
    model.changed.connect(told);
    stream.emit({ schema_id: `${EVENTS}served/v1` });
    await vi.waitFor(() => expect(told).toHaveBeenCalledTimes(1));
    expect(model.happened).toBe(1);
  });

  it('can be disposed while it looks', async () => {
    server.answers['GET profiles'] = new Promise<object>(() => undefined);
    const looked = model.look();
    await vi.waitFor(() => expect(server.seen.at(-2)?.path).toBe('profiles'));
    model.dispose();
    await expect(looked).resolves.toBeUndefined();
    await expect(model.look()).resolves.toBeUndefined();
  });

  it('leaves events that change nothing alone', async () => {
    const stream = new Signal<object, Event.Emission>({});
    model.follow({ stream } as unknown as Event.IManager);
    vi.useFakeTimers();
    const before = server.seen.length;
    stream.emit({ schema_id: `${EVENTS}found/v1` });
    stream.emit({ schema_id: 'https://schema.jupyter.org/other/v1' });
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.seen).toHaveLength(before);
  });

  it('sends names and parameters as they are', async () => {
    server.answers['POST profiles/a%2Fb/token'] = { profile: 'a/b', has_value: true };
    await model.fetch('a/b', { ExpireTime: 60 }, true);
    expect(server.seen.find(({ method }) => method === 'POST')).toMatchObject({
      method: 'POST',
      path: 'profiles/a%2Fb/token',
      body: { params: { ExpireTime: 60 }, refresh: true }
    });
  });

  it('is busy until the new state is there', async () => {
    server.answers['POST profiles/acme/token'] = { profile: 'acme', has_value: true };
    const fetched = model.fetch('acme', {}, false);
    expect(model.busy('acme')).toBe(true);
    list(profile({ state: 'fresh' }));
    await fetched;
    expect(model.busy('acme')).toBe(false);
    expect(model.profiles?.[0]?.state).toBe('fresh');
  });

  it('throws what the vendor said', async () => {
    server.answers['POST profiles/acme/token'] = { status: 502, body: PROBLEM };
    const error: unknown = await model.fetch('acme', {}, false).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RequestError);
    expect((error as RequestError).problem).toEqual(PROBLEM);
  });

  it('goes by the clock of the server where that is another one', async () => {
    server.date = new Date(Date.now() + 3600_000).toUTCString();
    await model.look();
    expect(Math.abs(model.now() - Date.now() - 3600_000)).toBeLessThan(2000);
  });

  it('can be told to look more seldom than it waits after failures', async () => {
    const patient = new TokensModel(server.settings, TRANS, 15);
    patient.pollSeconds = 3600;
    patient.start();
    await patient.look();
    expect(patient.problem).toBeNull();
    expect(patient.profiles).toHaveLength(2);
    patient.dispose();
  });

  it('shows the handles of workers, and revokes one by its id', async () => {
    const handle = { id: 'h1', profile: 'acme', params: {}, owner: 'user', uses: 0 };
    server.answers['GET holdings'] = { holdings: [], handles: [handle] };
    await model.look();
    expect(model.handles).toEqual([handle]);
    server.answers['DELETE handles/h1'] = {};
    server.answers['GET holdings'] = { holdings: [], handles: [] };
    await model.revoke('acme', 'h1');
    expect(model.handles).toEqual([]);
  });

  it('shows the profiles to who may not see what kernels hold', async () => {
    server.answers['GET holdings'] = { status: 403, body: PROBLEM };
    list(profile({ state: 'fresh' }));
    await model.look();
    expect(model.problem).toBeNull();
    expect(model.profiles?.[0]?.state).toBe('fresh');
  });

  it('says what is missing where the server has no such routes', async () => {
    server.answers['GET profiles'] = { status: 404, body: {} };
    await model.look();
    expect(model.problem?.reason).toBe('absent');
  });

  it.each([
    [
      'absent',
      { status: 404, body: {} },
      '«This server does not have the extension jupyter_tokens.»'
    ],
    ['http', { status: 418, body: {} }, '«The server answered with status 418.»'],
    [
      'http',
      { status: 200, body: '<html>Log in</html>' },
      '«The server sent no data, but perhaps its login page. Reload this browser page.»'
    ],
    ['unreachable', null, '«The Jupyter server does not answer.»']
  ])('has its own words translated: %s', async (reason, answer, message) => {
    server.answers['GET profiles'] = answer;
    await model.look();
    expect(model.problem).toMatchObject({ reason, message });
  });
});
