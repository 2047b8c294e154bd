import { nullTranslator } from '@jupyterlab/translation';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Actions } from '../src/actions';
import { TokensModel } from '../src/model';
import { CurrentNotebook } from '../src/notebook';
import { attempt, INJECTION, listed, PROBLEM, profile } from './facts';
import { Server } from './server';

const KERNEL = { id: 'k1', notebook: 'a.ipynb', language: 'python' };
let server: Server;
let model: TokensModel;
let notebook: CurrentNotebook;
let actions: Actions;

beforeEach(() => {
  server = new Server();
  server.answers = {
    'GET profiles': listed(profile()),
    'GET holdings': { holdings: [], handles: [] },
    'GET providers': { providers: [], secret_stores: ['file'] }
  };
  model = new TokensModel(server.settings, nullTranslator.load(''), 3600);
  notebook = new CurrentNotebook(null);
  actions = new Actions(model, notebook, nullTranslator.load(''));
});

afterEach(() => {
  model.dispose();
  vi.useRealTimers();
});

it("injects into the notebook's kernel, by the user's variable", async () => {
  notebook.kernel = KERNEL;
  actions.variables = { acme: 'MINE' };
  server.answers['POST kernels/k1/inject'] = INJECTION;
  expect(await actions.inject('acme', {})).toBe(true);
  expect(server.seen.find(({ method }) => method === 'POST')?.body).toEqual({
    profile: 'acme',
    params: {},
    env: 'MINE'
  });
  expect(model.outcome('acme')).toMatchObject({
    kind: 'done',
    text: 'MINE is set in a.ipynb (python).'
  });
});

it.each([
  ['kernel', null, 'The kernel keeps it fresh.'],
  ['server', '2126-01-01T00:00:00Z', 'The server keeps it fresh.'],
  [null, '2126-01-01T00:00:00Z', 'It is not kept fresh.']
])('says that %s keeps it fresh', async (kept_by, expires_at, text) => {
  notebook.kernel = KERNEL;
  server.answers['POST kernels/k1/inject'] = { ...INJECTION, kept_by, expires_at };
  await actions.inject('acme', {});
  expect(model.outcome('acme')).toMatchObject({
    text: `MINE is set in a.ipynb (python). ${text}`
  });
});

it('looks at a queued injection again within a fifth of a second', async () => {
  vi.useFakeTimers();
  notebook.kernel = KERNEL;
  server.answers['POST kernels/k1/inject'] = { ...INJECTION, state: 'queued' };
  server.answers['GET kernels/k1/inject/i'] = INJECTION;
  const injected = actions.inject('acme', {});
  await vi.advanceTimersByTimeAsync(200);
  expect(await injected).toBe(true);
});

it('waits for a busy kernel', async () => {
  vi.useFakeTimers();
  notebook.kernel = KERNEL;
  server.answers['POST kernels/k1/inject'] = { ...INJECTION, state: 'queued' };
  server.answers['GET kernels/k1/inject/i'] = {
    ...INJECTION,
    state: 'failed',
    message: 'It died.'
  };
  const injected = actions.inject('acme', {});
  await vi.advanceTimersByTimeAsync(2000);
  expect(await injected).toBe(false);
  expect(model.outcome('acme')).toMatchObject({
    kind: 'problem',
    problem: { message: 'It died.' }
  });
});

it('says that a kernel is busy once, and until it is not', async () => {
  vi.useFakeTimers();
  notebook.kernel = KERNEL;
  server.answers['POST kernels/k1/inject'] = { ...INJECTION, state: 'queued' };
  server.answers['GET kernels/k1/inject/i'] = { ...INJECTION, state: 'queued' };
  server.answers['POST profiles/acme/token'] = { has_value: true };
  const injected = actions.inject('acme', {});
  await vi.advanceTimersByTimeAsync(60_000);
  const text = 'Waiting for the kernel of a.ipynb, which is busy.';
  expect(model.outcome('acme')).toEqual({ kind: 'waiting', text });
  await actions.fetch('acme', {}, false);
  await vi.advanceTimersByTimeAsync(9000);
  expect(model.outcome('acme')).toMatchObject({ kind: 'done', text: 'Fetched.' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(model.outcome('acme')).toBeNull();
  server.answers['GET kernels/k1/inject/i'] = INJECTION;
  await vi.advanceTimersByTimeAsync(30_000);
  expect(await injected).toBe(true);
});

it('says so where there is no kernel', async () => {
  expect(await actions.inject('acme', {})).toBe(false);
  expect(server.seen.some(({ method }) => method === 'POST')).toBe(false);
});

it('keeps what the vendor said for the card', async () => {
  server.answers['POST profiles/acme/token'] = { status: 502, body: PROBLEM };
  expect(await actions.fetch('acme', {}, false)).toBe(false);
  expect(model.outcome('acme')).toEqual({ kind: 'problem', problem: PROBLEM });
});

it('waits no longer than the user wants to', async () => {
  server.answers['POST profiles/acme/token'] = new Promise<object>(() => undefined);
  const fetched = actions.fetch('acme', {}, false);
  expect(model.busy('acme')).toBe(true);
  model.cancel('acme');
  expect(await fetched).toBe(false);
  expect(model.busy('acme')).toBe(false);
  expect(model.outcome('acme')).toMatchObject({
    kind: 'done',
    text: 'Cancelled. The server may still fetch the token.'
  });
});

it.each<[string, string, (actions: Actions) => Promise<boolean>]>([
  ['logs out', 'DELETE profiles/acme/login', own => own.logOut('acme')],
  ['forgets', 'DELETE profiles/acme/token', own => own.forget('acme')],
  ['revokes', 'DELETE handles/h1', own => own.revoke('acme', 'h1')],
  ['removes from a kernel', 'DELETE kernels/k1/inject', own => own.removeFrom('acme')],
  ['begins a login', 'POST profiles/acme/login', own => own.logIn('acme', {})]
])('waits no longer than the user wants to while it %s', async (_, route, act) => {
  notebook.kernel = KERNEL;
  server.answers[route] = new Promise<object>(() => undefined);
  const acted = act(actions);
  model.cancel('acme');
  expect(await acted).toBe(false);
  expect(model.outcome('acme')).toMatchObject({
    kind: 'done',
    text: 'Cancelled. The server may still do it.'
  });
});

it.each<[string, string, () => Promise<void>]>([
  ['saves', 'PUT profiles/acme', () => model.put('acme', {})],
  ['removes', 'DELETE profiles/acme', () => model.remove('acme')]
])('waits no longer than the user wants to while it %s a profile', async (_, route, act) => {
  server.answers[route] = new Promise<object>(() => undefined);
  const acted = act();
  model.cancel('acme');
  await expect(acted).rejects.toMatchObject({ problem: { reason: 'cancelled' } });
});

it('does not say that the server is away when it is back', async () => {
  server.answers['POST profiles/acme/token'] = null;
  await actions.fetch('acme', {}, false);
  expect(model.outcome('acme')).toMatchObject({ problem: { reason: 'unreachable' } });
  // If only this request got no answer, its failure stays on the card.
  await model.look();
  expect(model.outcome('acme')).toMatchObject({ problem: { reason: 'unreachable' } });
  const listed = server.answers['GET profiles'] ?? null;
  server.answers['GET profiles'] = null;
  await model.look();
  server.answers['GET profiles'] = listed;
  await model.look();
  expect(model.outcome('acme')).toBeNull();
});

it('hands a value to nobody but who shows it', async () => {
  server.answers['POST profiles/acme/token'] = {
    has_value: true,
    value: 's3cret',
    expires_at: null
  };
  const shown = vi.fn();
  await actions.reveal('acme', {}, shown);
  expect(shown).toHaveBeenCalledWith('s3cret', null);
  expect(JSON.stringify([model.profiles, model.outcome('acme')])).not.toContain('s3cret');
});

it('refreshes what the cards show, with the parameters it was fetched with', async () => {
  const token_params = { TargetId: 'dlc1' };
  const fetched = profile({ state: 'fresh', token_params });
  server.answers['GET profiles'] = listed(fetched, profile({ name: 'other' }));
  server.answers['POST profiles/acme/token'] = { has_value: true };
  await model.look();
  await actions.refreshAll();
  const posts = server.seen.filter(({ method }) => method === 'POST');
  expect(posts.map(({ body }) => body)).toEqual([{ params: token_params, refresh: true }]);
});

it("takes the token out of the notebook's kernel again", async () => {
  notebook.kernel = KERNEL;
  server.answers['DELETE kernels/k1/inject'] = INJECTION;
  expect(await actions.removeFrom('acme')).toBe(true);
  expect(server.seen.find(({ method }) => method === 'DELETE')?.query).toContain('profile=acme');
  expect(model.outcome('acme')).toMatchObject({ kind: 'done', text: 'Removed from a.ipynb.' });
});

it('says why a kernel keeps it', async () => {
  notebook.kernel = KERNEL;
  server.answers['DELETE kernels/k1/inject'] = { ...INJECTION, state: 'failed', message: 'Busy.' };
  expect(await actions.removeFrom('acme')).toBe(false);
  expect(model.outcome('acme')).toMatchObject({ problem: { message: 'Busy.' } });
});

describe('a login', () => {
  const opened = vi.fn();

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('open', opened);
    server.answers['POST profiles/acme/login'] = attempt();
    server.answers['GET profiles/acme/login/l1'] = attempt();
    server.answers['POST profiles/acme/token'] = { has_value: true, expires_at: null };
  });

  afterEach(() => {
    opened.mockReset();
    vi.unstubAllGlobals();
  });

  it('opens the page, waits for the person, and fetches a token', async () => {
    const loggedIn = actions.logIn('acme', { scope: 'read' });
    await vi.advanceTimersByTimeAsync(1500);
    expect(opened.mock.calls).toEqual([[attempt().url, '_blank', 'noopener,noreferrer']]);
    expect(model.attempt('acme')).toEqual(attempt());
    expect(server.seen.some(({ path }) => path === 'profiles/acme/token')).toBe(false);
    const done = attempt({ state: 'done', url: null, who: 'demo' });
    server.answers['GET profiles/acme/login/l1'] = done;
    await vi.advanceTimersByTimeAsync(1000);
    expect(await loggedIn).toBe(true);
    expect(model.attempt('acme')).toBeNull();
    expect(server.seen.find(({ path }) => path === 'profiles/acme/token')?.body).toMatchObject({
      params: { scope: 'read' },
      refresh: false
    });
    expect(model.outcome('acme')).toMatchObject({
      text: 'Logged in as demo. A token was fetched.'
    });
  });

  it('opens nothing for another device, and asks no more often than the server wants', async () => {
    const device = attempt({ url: null, user_code: 'ABCD-EFGH', interval: 5 });
    server.answers['POST profiles/acme/login'] = device;
    server.answers['GET profiles/acme/login/l1'] = device;
    const loggedIn = actions.logIn('acme', {});
    await vi.advanceTimersByTimeAsync(12_000);
    expect(opened).not.toHaveBeenCalled();
    expect(server.seen.filter(({ path }) => path === 'profiles/acme/login/l1')).toHaveLength(2);
    model.cancel('acme');
    expect(await loggedIn).toBe(true);
    expect(model.busy('acme')).toBe(false);
    expect(model.outcome('acme')).toMatchObject({ kind: 'done', text: 'Cancelled.' });
  });

  it('ends at once when the user cancels while it looks', async () => {
    const loggedIn = actions.logIn('acme', {});
    server.answers['GET profiles/acme/login/l1'] = new Promise<object>(() => undefined);
    await vi.advanceTimersByTimeAsync(1500);
    model.cancel('acme');
    expect(await loggedIn).toBe(true);
    expect(model.attempt('acme')).toBeNull();
    expect(model.outcome('acme')).toMatchObject({ kind: 'done', text: 'Cancelled.' });
  });

  it('goes on when the server is away for a moment', async () => {
    const loggedIn = actions.logIn('acme', {});
    server.answers['GET profiles/acme/login/l1'] = null;
    await vi.advanceTimersByTimeAsync(1500);
    expect(model.attempt('acme')).toEqual(attempt());
    server.answers['GET profiles/acme/login/l1'] = attempt({ state: 'done' });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await loggedIn).toBe(true);
  });

  it('says why it has failed, and fetches nothing', async () => {
    server.answers['GET profiles/acme/login/l1'] = attempt({ state: 'failed', error: PROBLEM });
    const loggedIn = actions.logIn('acme', {});
    await vi.advanceTimersByTimeAsync(1500);
    expect(await loggedIn).toBe(false);
    expect(model.outcome('acme')).toEqual({ kind: 'problem', problem: PROBLEM });
    expect(server.seen.some(({ path }) => path === 'profiles/acme/token')).toBe(false);
  });
});

it.each([
  [true, true, 'Logged out; the identity provider has revoked the login.'],
  [true, false, 'Logged out here. The identity provider did not revoke the login.'],
  [false, false, 'Nobody was logged in.']
])('says what became of a logout: %s, %s', async (was_logged_in, revoked, text) => {
  server.answers['DELETE profiles/acme/login'] = { was_logged_in, revoked };
  await actions.logOut('acme');
  expect(model.outcome('acme')).toMatchObject({ kind: 'done', text });
});
