import { StateDB } from '@jupyterlab/statedb';
import { expect, it } from 'vitest';

import { LastParams } from '../src/lastparams';
import { PROVIDER } from './facts';

it('remembers parameters for the next page, and no secret', async () => {
  const state = new StateDB();
  const before = new LastParams(state);
  before.set('acme', { ExpireTime: 60, Password: 's3cret', Unknown: 'x' }, PROVIDER.params);
  const after = new LastParams(state);
  await after.restore();
  expect(after.of('acme')).toEqual({ ExpireTime: 60 });
  expect(JSON.stringify(await state.toJSON())).not.toContain('s3cret');
});

it('does without a memory, and with one that holds something else', async () => {
  const none = new LastParams(null);
  await none.restore();
  expect(none.of('acme')).toEqual({});
  const state = new StateDB();
  await state.save('jupyter-tokens:params', { acme: { ExpireTime: { nested: true } }, other: 3 });
  const odd = new LastParams(state);
  await odd.restore();
  expect(odd.of('acme')).toEqual({});
});
