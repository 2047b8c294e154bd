import { afterEach, expect, it, vi } from 'vitest';

import { left, Ticker } from '../src/countdown';

afterEach(() => {
  vi.useRealTimers();
});

it.each([
  [-1000, ''],
  [999, ''],
  [1000, '0:01'],
  [245_000, '4:05'],
  [3_600_000, '1:00:00'],
  [273_600_000, '3 d 4 h']
])('writes %d ms as "%s"', (rest, text) => {
  expect(left(rest)).toBe(text);
});

it('runs one timer for all, and none for nobody', () => {
  vi.useFakeTimers();
  const ticker = new Ticker();
  const told = vi.fn();
  const stops = [ticker.add(told), ticker.add(() => undefined)];
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(3000);
  expect(told).toHaveBeenCalledTimes(3);
  stops.forEach(stop => {
    stop();
  });
  expect(vi.getTimerCount()).toBe(0);
});
