import { nullTranslator } from '@jupyterlab/translation';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { showValue } from '../src/reveal';

const options = { seconds: 20, trans: nullTranslator.load(''), label: 'Token of acme' };
let host: HTMLElement;

beforeEach(() => {
  vi.useFakeTimers();
  host = document.createElement('div');
  document.body.append(host);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  document.body.replaceChildren();
});

it('shows a value for its seconds and no longer', () => {
  showValue(host, 's3cret', options);
  vi.advanceTimersByTime(19_900);
  expect(host.textContent).toContain('s3cret');
  vi.advanceTimersByTime(200);
  expect(document.body.innerHTML).not.toContain('s3cret');
});

it('leaves no value in an element that somebody kept', () => {
  const shown = showValue(host, 's3cret', options);
  const kept = host.firstElementChild;
  shown.dispose();
  expect(kept?.textContent).not.toContain('s3cret');
});

it('hides when the page is hidden', () => {
  showValue(host, 's3cret', options);
  vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
  document.dispatchEvent(new Event('visibilitychange'));
  expect(host.textContent).toBe('');
});

it.each(['Hide', 'elsewhere'])('returns the focus only if it had it: %s', where => {
  const button = document.createElement('button');
  const elsewhere = document.createElement('input');
  document.body.append(button, elsewhere);
  button.focus();
  const shown = showValue(host, 's3cret', options);
  const hide = host.querySelector('button');
  (where === 'Hide' ? hide : elsewhere)?.focus();
  shown.dispose();
  expect(document.activeElement).toBe(where === 'Hide' ? button : elsewhere);
});

it('tells its end once', () => {
  const onEnd = vi.fn();
  const shown = showValue(host, 's3cret', { ...options, onEnd });
  shown.dispose();
  vi.advanceTimersByTime(30_000);
  expect(onEnd).toHaveBeenCalledTimes(1);
});

it('shows text, never markup', () => {
  showValue(host, '<img src=x onerror=alert(1)>', options);
  expect(host.querySelector('img')).toBeNull();
});
