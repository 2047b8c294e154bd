import { expect, it } from 'vitest';

import { left } from '../src/countdown';

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
