import { Notification } from '@jupyterlab/apputils';
import type { Event } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { Notices, noticeSaves } from '../src/notices';
import type { IHolding, ITokens } from '../src/tokens';

const FOUND = 'https://github.com/jupyter-tokens/jupyter_tokens/events/found/v1';
const PLACE = 'cell 1 output 1, line 1: token oneaccess (40 characters)';
let stream: Signal<object, Event.Emission>;

beforeEach(() => {
  vi.useFakeTimers();
  stream = new Signal<object, Event.Emission>({});
  noticeSaves({ stream } as unknown as Event.IManager, nullTranslator.load(''));
});

afterEach(() => {
  Notification.dismiss();
  vi.useRealTimers();
});

const emit = (data: object, schema_id = FOUND): void =>
  stream.emit({ schema_id, path: 'a.ipynb', found: [PLACE], ...data });
const shown = (): string[] => Notification.manager.notifications.map(({ message }) => message);

it('says where a token was replaced', () => {
  emit({ outcome: 'redacted' });
  expect(shown()).toEqual([`a.ipynb was saved with its tokens redacted: ${PLACE}.`]);
});

it('says where a token was saved, and what to do', () => {
  emit({ outcome: 'saved' });
  expect(shown()[0]).toContain(`a.ipynb was saved with a token in it: ${PLACE}. Remove it`);
});

it('leaves a refusal to JupyterLab, and other events to others', () => {
  emit({ outcome: 'refused' });
  emit({ outcome: 'saved' }, 'https://schema.jupyter.org/other/v1');
  expect(shown()).toEqual([]);
});

it('says the same once in ten minutes, though a shared document is saved each second', () => {
  emit({ outcome: 'redacted' });
  emit({ outcome: 'redacted' });
  expect(shown()).toHaveLength(1);
  emit({ outcome: 'redacted', path: 'b.ipynb' });
  emit({ outcome: 'saved' });
  expect(shown()).toHaveLength(3);
  vi.advanceTimersByTime(600_001);
  emit({ outcome: 'saved' });
  expect(shown()).toHaveLength(4);
});

it('tells once before a token expires that nothing renews', () => {
  const now = Date.now();
  const held = { kernel_id: 'k', expires_at: new Date(now + 100_000).toISOString() };
  const holdings: IHolding[] = [
    { ...held, profile: 'renewed', env: 'A', kept_by: 'kernel' },
    { ...held, profile: 'once', env: 'B', kept_by: null },
    { ...held, profile: 'in-python', env: null, kept_by: null }
  ];
  const tokens = { holdings, now: () => Date.now(), refreshFailed: new Signal<object, never>({}) };
  const notices = new Notices(
    tokens as unknown as ITokens,
    nullTranslator.load(''),
    () => undefined
  );
  notices.beforeExpiry = 90;
  vi.advanceTimersByTime(5000);
  expect(shown()).toEqual([]);
  vi.advanceTimersByTime(10_000);
  expect(shown()).toHaveLength(1);
  expect(shown()[0]).toContain('once');
});
