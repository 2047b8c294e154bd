import { Notification } from '@jupyterlab/apputils';
import type { Session } from '@jupyterlab/services';
import { StateDB } from '@jupyterlab/statedb';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { PromiseDelegate } from '@lumino/coreutils';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Actions } from '../src/actions';
import { addCommands, CommandIDs } from '../src/commands';
import { LastParams } from '../src/lastparams';
import { TokensModel } from '../src/model';
import { CurrentNotebook } from '../src/notebook';
import { TokensPanel } from '../src/panel';
import type { IProfile } from '../src/tokens';
import { INJECTION, listed, PROBLEM, profile, PROVIDER } from './facts';
import { Server } from './server';

const trans = nullTranslator.load('');
const HELD = { state: 'fresh', expires_at: '2126-01-01T00:00:00Z', has_value: true } as const;
let server: Server;
let model: TokensModel;
let panel: TokensPanel;
let commands: CommandRegistry;
let state: StateDB;
let lastParams: LastParams;

function list(facts: Partial<IProfile>, holdings: object[] = [], handles: object[] = []): void {
  server.answers['GET profiles'] = listed(profile(facts), profile({ name: 'other' }));
  server.answers['GET holdings'] = { holdings, handles };
}

/** What is in the panel, or in a dialog, as soon as it is there. */
function there<T extends HTMLElement>(selector: string): Promise<T> {
  return vi.waitFor(() => document.querySelector<T>(selector) ?? expect.fail(`no ${selector}`));
}

const button = (label: string): Promise<HTMLElement> => there(`button[aria-label="${label}"]`);

async function press(label: string): Promise<void> {
  const found = await button(label);
  found.focus();
  found.click();
}

/** As a person types: React sees it. */
function typeIn(field: HTMLInputElement | null, text: string): void {
  const { set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value') ?? {};
  set?.call(field, text);
  field?.dispatchEvent(new Event('input', { bubbles: true }));
}

const focused = (): string | null => document.activeElement?.getAttribute('aria-label') ?? null;
const notified = (): string[] => Notification.manager.notifications.map(({ message }) => message);

beforeEach(async () => {
  server = new Server();
  server.answers = {
    'GET providers': { providers: [PROVIDER], secret_stores: ['file'] },
    'GET history': { history: [] }
  };
  list({});
  model = new TokensModel(server.settings, trans, 3600);
  const notebook = new CurrentNotebook(null);
  notebook.kernel = { id: 'k1', notebook: 'a.ipynb', language: 'python' };
  const sessions = { running: () => [], runningChanged: new Signal<object, void>({}) };
  state = new StateDB();
  lastParams = new LastParams(state);
  const actions = new Actions(model, notebook, trans);
  panel = new TokensPanel({
    sessions: sessions as unknown as Session.IManager,
    bench: { tokens: model, notebook, actions, lastParams, trans }
  });
  commands = new CommandRegistry();
  addCommands(commands, {
    tokens: model,
    actions,
    lastParams,
    notebook,
    trans,
    showPanel: name => name === undefined || panel.showCard(name)
  });
  Widget.attach(panel, document.body);
  model.start();
  await model.look();
  await lastParams.restore();
});

afterEach(() => {
  panel.dispose();
  model.dispose();
  Notification.dismiss();
  document.body.replaceChildren();
});

describe('the result of a command', () => {
  const scrolled = vi.fn();
  const inject = (): Promise<unknown> => commands.execute(CommandIDs.inject, { profile: 'acme' });

  beforeEach(() => {
    scrolled.mockReset();
    Element.prototype.scrollIntoView = function (this: Element) {
      scrolled(this.getAttribute('data-profile'));
    };
    server.answers['POST kernels/k1/inject'] = { status: 403, body: PROBLEM };
  });

  it.each(['history', 'search', 'form'])('is shown in place of the %s', async view => {
    const field = await there<HTMLInputElement>('[type=search]');
    if (view === 'history') {
      await press('History');
    } else if (view === 'search') {
      typeIn(field, 'other');
    } else {
      panel.add();
    }
    await vi.waitFor(() => expect(panel.node.textContent).not.toContain('acme'));
    await inject();
    await vi.waitFor(() => expect(panel.node.textContent).toContain(PROBLEM.message));
    expect(scrolled.mock.calls).toEqual([['acme']]);
    expect(notified()).toEqual([]);
  });

  it('is shown on any of many cards, which gets the focus of the form', async () => {
    const many = Array.from({ length: 40 }, (_, number) => profile({ name: `p${number}` }));
    server.answers['GET profiles'] = listed(...many);
    await model.look();
    await button('Fetch p39');
    panel.add();
    const name = (): Element | null => panel.node.querySelector('#jp-Tokens-form-name');
    await vi.waitFor(() => expect(name()).toBe(document.activeElement));
    panel.showCard('p39');
    await vi.waitFor(() => expect(scrolled.mock.calls).toEqual([['p39']]));
    const card = panel.node.querySelector('[data-profile="p39"]');
    expect(card?.contains(document.activeElement)).toBe(true);
  });

  it('leaves the form that was changed while it was saved', async () => {
    server.answers['GET profiles/acme'] = {
      name: 'acme',
      settings: { provider: PROVIDER.id },
      secrets: []
    };
    const saved = new PromiseDelegate<object>();
    server.answers['PUT profiles/acme'] = saved.promise;
    server.answers['POST profiles/acme/token'] = { has_value: true };
    await panel.edit('acme');
    const form = await there<HTMLFormElement>('form');
    form.reportValidity = () => true;
    const field = form.querySelector<HTMLInputElement>('input:not(:disabled)');
    typeIn(field, 'one');
    form.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
    await vi.waitFor(() => expect(server.seen.at(-1)?.method).toBe('PUT'));
    typeIn(field, 'two');
    saved.resolve({});
    await vi.waitFor(() => expect(form.textContent).toContain('it works'));
    expect(panel.showCard('acme')).toBe(false);
  });

  it('is a notification if the form is not saved', async () => {
    panel.add();
    const field = await there<HTMLInputElement>('#jp-Tokens-form-name');
    typeIn(field, 'mine');
    await inject();
    expect(field.value).toBe('mine');
    expect(notified()).toContain(PROBLEM.message);
    server.answers['POST kernels/k1/inject'] = INJECTION;
    await inject();
    expect(notified()).toContain('MINE is set in a.ipynb (python).');
    expect(scrolled).not.toHaveBeenCalled();
  });
});

describe('the form to edit a profile', () => {
  it('does not replace what the user has opened since', async () => {
    const asked = new PromiseDelegate<object>();
    server.answers['GET profiles/acme'] = asked.promise;
    const edited = panel.edit('acme');
    panel.add();
    const name = await there<HTMLInputElement>('#jp-Tokens-form-name');
    typeIn(name, 'mine');
    asked.resolve({ name: 'acme', settings: { provider: PROVIDER.id }, secrets: [] });
    await edited;
    panel.draw();
    expect(panel.node.querySelector('form')?.getAttribute('aria-label')).not.toContain('acme');
    expect(name.value).toBe('mine');
    expect(panel.showCard('acme')).toBe(false);
  });
});

describe('the focus', () => {
  const HANDLE = {
    id: 'h1',
    profile: 'acme',
    params: {},
    owner: 'user',
    lease_ends_at: HELD.expires_at,
    uses: 0
  };

  const REMOVE = ['Remove acme from the notebook', 'DELETE kernels/k1/inject'] as const;
  const FORGET = ['Forget acme', 'DELETE profiles/acme/token'] as const;
  const REVOKE = ['Revoke acme, handle h1', 'DELETE handles/h1'] as const;

  it.each([
    [...REMOVE, 'on the button', 'Refresh acme'],
    [...REMOVE, 'elsewhere', null],
    [...FORGET, 'on the button', 'Fetch acme'],
    [...FORGET, 'elsewhere', null],
    [...REVOKE, 'on the button', 'Refresh acme'],
    [...REVOKE, 'elsewhere', null]
  ])('after “%s” (%s): was %s, is on %s', async (label, route, where, after) => {
    list(HELD, [{ kernel_id: 'k1', profile: 'acme', env: 'ACME_TOKEN' }], [HANDLE]);
    await model.look();
    const answer = new PromiseDelegate<object>();
    server.answers[route] = answer.promise;
    await press(label);
    if (label === REVOKE[0]) {
      (await there('.jp-Dialog .jp-mod-accept')).click();
    }
    await vi.waitFor(() => expect(model.busy('acme')).toBe(true));
    expect(focused()).toBe(label);
    const cell = document.body.appendChild(document.createElement('textarea'));
    if (where === 'elsewhere') {
      cell.focus();
    }
    list(label === FORGET[0] ? {} : HELD);
    answer.resolve(INJECTION);
    await vi.waitFor(() => expect(panel.node.querySelector(`[aria-label="${label}"]`)).toBeNull());
    expect(model.outcome('acme')?.kind).toBe('done');
    expect(focused()).toBe(after);
    expect(document.activeElement === cell).toBe(where === 'elsewhere');
  });

  it('stays on the card when the token goes whose value had it', async () => {
    list(HELD);
    await model.look();
    server.answers['POST profiles/acme/token'] = { value: 's3cret', expires_at: HELD.expires_at };
    await press('Reveal acme');
    const hide = await there('.jp-Tokens-hide');
    hide.focus();
    list({});
    await model.look();
    await vi.waitFor(() => expect(hide.isConnected).toBe(false));
    await vi.waitFor(() => expect(focused()).toBe('Fetch acme'));
  });

  it('stays on the card after Cancel', async () => {
    server.answers['POST profiles/acme/token'] = new Promise<object>(() => undefined);
    await press('Fetch acme');
    const cancel = await vi.waitFor(() => button('Cancel acme'), 3000);
    cancel.focus();
    cancel.click();
    await vi.waitFor(() => expect(cancel.isConnected).toBe(false));
    expect(focused()).toBe('Fetch acme');
  });
});

it('announces a result, and not each second of its countdown', async () => {
  model.setOutcome('acme', { kind: 'done', text: 'Fetched.', expiresAt: HELD.expires_at });
  const shown = await there('.jp-Tokens-outcome:has(time)');
  expect(shown.textContent).toMatch(/^Fetched\. .* left$/);
  expect(shown.querySelector('[role=status]')?.textContent).toBe('Fetched.');
});

it('shows the cards once the saved parameters are there, which a click then uses', async () => {
  lastParams.isReady = false;
  panel.draw();
  await vi.waitFor(() => expect(panel.node.textContent).toContain('Loading'));
  expect(panel.node.querySelector('[data-profile]')).toBeNull();
  await state.save('jupyter-tokens:params', { acme: { ExpireTime: 60 } });
  await lastParams.restore();
  await press('Fetch acme');
  await vi.waitFor(() => expect(server.seen.find(({ method }) => method === 'POST')).toBeDefined());
  expect(server.seen.find(({ method }) => method === 'POST')?.body).toMatchObject({
    params: { ExpireTime: 60 }
  });
});

it('draws only its card when a parameter is typed', async () => {
  await press('Parameters of acme');
  const field = await there<HTMLInputElement>('.jp-Tokens-params input[type=number]');
  const drawn = vi.spyOn(lastParams, 'of');
  typeIn(field, '60');
  await vi.waitFor(() => expect(drawn).toHaveBeenCalledWith('acme'));
  expect(drawn).not.toHaveBeenCalledWith('other');
  expect(field.value).toBe('60');
  expect(lastParams.of('acme')).toEqual({ ExpireTime: 60 });
});

it('notifies of the commands that become enabled or disabled, and of no others', async () => {
  const notified = vi.fn();
  commands.commandChanged.connect((_, { id }) => void notified(id));
  list({ state: 'fresh' });
  await model.look();
  expect(notified).not.toHaveBeenCalled();
  server.answers['GET profiles'] = listed();
  await model.look();
  expect(notified.mock.calls).toEqual([[CommandIDs.inject], [CommandIDs.refreshAll]]);
});
