import { expect, it } from 'vitest';

import { magic } from '../src/commands';

it.each([
  ['oneaccess', {}, '%gettoken oneaccess'],
  ['pai-dlc', { ExpireTime: 60 }, '%gettoken pai-dlc ExpireTime=60'],
  ['m2m', { ScopeValues: ['a', 'b'] }, `%gettoken m2m 'ScopeValues=a b'`],
  ['acme', { Name: "it's two words" }, `%gettoken acme 'Name=it'"'"'s two words'`]
])('writes the magic of %s', (profile, params, written) => {
  expect(magic(profile, params)).toBe(written);
});
