import { beforeEach, expect, it } from 'vitest';

import { common, known, own, taken, unseen } from '../src/profilesettings';
import type { IEditable } from '../src/tokens';
import { PROVIDER } from './facts';

let form: HTMLFormElement;
let secret: HTMLInputElement;

const editable: IEditable = {
  name: 'acme',
  settings: { provider: 'oneaccess', endpoint: 'https://acme.example', region: 'elsewhere' },
  secrets: ['client_secret']
};

beforeEach(() => {
  form = document.createElement('form');
  secret = document.createElement('input');
  secret.name = 'client_secret';
  secret.dataset.secret = 'true';
  form.append(secret);
});

it('takes a secret out of its input', () => {
  secret.value = 's3cret';
  expect(taken(form, PROVIDER, { client_secret: 'file' }, null)).toEqual({
    client_secret: { value: 's3cret', store: 'file' }
  });
  expect(secret.value).toBe('');
});

it('has the server keep the secret that is not typed again', () => {
  expect(taken(form, PROVIDER, {}, editable)).toEqual({ client_secret: { keep: true } });
  expect(taken(form, PROVIDER, {}, null)).toEqual({});
});

it('keeps no secret for another provider', () => {
  expect(taken(form, { ...PROVIDER, id: 'eiam' }, {}, editable)).toEqual({});
});

it('sends a reference as it is', () => {
  secret.value = 'env:SECRET';
  expect(taken(form, PROVIDER, { client_secret: 'reference' }, null)).toEqual({
    client_secret: 'env:SECRET'
  });
});

it('says where before as whom', () => {
  expect(Object.keys(own(PROVIDER))).toEqual(['endpoint', 'client_secret']);
});

it('sends nothing that the provider does not know', () => {
  expect(unseen(editable, PROVIDER)).toEqual({});
  expect(known({ endpoint: 'https://acme.example', region: 'x' }, PROVIDER)).toEqual({
    endpoint: 'https://acme.example'
  });
});

it('sends back what it does not show', () => {
  const properties = {
    ...PROVIDER.settings.properties,
    inject_at_start: { type: 'boolean' },
    fixed_params: { type: 'boolean' }
  };
  const provider = { ...PROVIDER, settings: { ...PROVIDER.settings, properties } };
  const settings = { provider: 'oneaccess', inject_at_start: true, fixed_params: true };
  expect(unseen({ ...editable, settings }, provider)).toEqual({
    inject_at_start: true,
    fixed_params: true
  });
  expect(Object.keys(own(provider))).toEqual(['endpoint', 'client_secret']);
  expect(Object.keys(common(provider).properties)).not.toContain('inject_at_start');
});
