import { beforeEach, expect, it } from 'vitest';

import {
  common,
  isRequired,
  known,
  own,
  plain,
  settingsFor,
  signInOf,
  signIns,
  taken,
  unseen,
  variableFor
} from '../src/profilesettings';
import type { IEditable, IProvider } from '../src/tokens';
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
  expect(taken(form, PROVIDER, () => 'file', null)).toEqual({
    client_secret: { value: 's3cret', store: 'file' }
  });
  expect(secret.value).toBe('');
});

it('has the server keep the secret that is not typed again', () => {
  expect(taken(form, PROVIDER, () => 'keyring', editable)).toEqual({
    client_secret: { keep: true }
  });
  expect(taken(form, PROVIDER, () => 'keyring', null)).toEqual({});
});

it('keeps no secret for another provider', () => {
  expect(taken(form, { ...PROVIDER, id: 'eiam' }, () => 'keyring', editable)).toEqual({});
});

it('sends a reference as it is', () => {
  secret.value = 'env:SECRET';
  expect(taken(form, PROVIDER, () => 'reference', null)).toEqual({
    client_secret: 'env:SECRET'
  });
});

it('says where before as whom', () => {
  expect(Object.keys(own(PROVIDER))).toEqual(['endpoint', 'client_secret']);
});

it('sends nothing that the provider does not know', () => {
  expect(unseen(editable, PROVIDER)).toEqual({});
  expect(known({ endpoint: 'https://acme.example', region: 'x' }, PROVIDER, null)).toEqual({
    endpoint: 'https://acme.example'
  });
});

it('sends back what it does not show', () => {
  const properties = {
    ...PROVIDER.settings.properties,
    inject_at_start: { type: 'boolean' },
    fixed_params: { type: 'boolean' },
    hosts: { type: 'array' },
    sdk: { type: 'string' }
  };
  const provider = { ...PROVIDER, settings: { ...PROVIDER.settings, properties } };
  const hosts = ['git.example'];
  const settings = {
    provider: 'oneaccess',
    inject_at_start: true,
    fixed_params: true,
    hosts,
    sdk: 'aws'
  };
  expect(unseen({ ...editable, settings }, provider)).toEqual({
    inject_at_start: true,
    fixed_params: true,
    hosts,
    sdk: 'aws'
  });
  expect(Object.keys(own(provider))).toEqual(['endpoint', 'client_secret']);
  expect(Object.keys(common(provider))).not.toContain('inject_at_start');
});

const CLOUD: IProvider = {
  ...PROVIDER,
  id: 'cloud',
  settings: {
    properties: {
      endpoint: { type: 'string', 'x-required-when': [{ without: 'region' }] },
      region: { type: 'string' },
      access_key: {
        type: 'string',
        'x-sign-in': ['key'],
        'x-required-when': [{ sign_in: 'key' }]
      },
      secret_key: { type: 'string', writeOnly: true, 'x-sign-in': ['key'] },
      password: { type: 'string', writeOnly: true, 'x-sign-in': ['user'] },
      credentials: { type: 'string' },
      env: { type: 'string' }
    },
    'x-sign-in': [
      { id: 'key', title: 'Access key', required: ['access_key', 'secret_key'], optional: [] },
      { id: 'user', title: 'User', required: ['password'], optional: [] },
      { id: 'chain', title: 'Chain', required: [], optional: [], set: { credentials: 'chain' } }
    ]
  }
};
const [KEY, USER, CHAIN] = signIns(CLOUD);

it.each([
  [KEY, ['endpoint', 'region', 'access_key', 'secret_key']],
  [USER, ['endpoint', 'region', 'password']],
  [CHAIN, ['endpoint', 'region']]
])('shows the settings of one way to sign in: %j', (way, settings) => {
  expect(Object.keys(settingsFor(CLOUD, way ?? null)).sort()).toEqual([...settings].sort());
});

it('knows how a profile signs in', () => {
  const signsIn = (settings: IEditable['settings'], ...secrets: string[]): string | undefined =>
    signInOf(CLOUD, { name: 'acme', settings, secrets })?.id;
  expect(signsIn({ access_key: 'AK' }, 'secret_key')).toBe('key');
  expect(signsIn({}, 'password')).toBe('user');
  expect(signsIn({ credentials: 'chain' })).toBe('chain');
  expect(signInOf(CLOUD, null)?.id).toBe('key');
  expect(signInOf(PROVIDER, null)).toBeNull();
});

it('sends what chooses the way to sign in, and nothing of the others', () => {
  const values = { region: 'x', access_key: 'AK', env: 'X' };
  expect(known(values, CLOUD, CHAIN ?? null)).toEqual({
    region: 'x',
    env: 'X',
    credentials: 'chain'
  });
  expect(known(values, CLOUD, KEY ?? null)).toEqual(values);
});

it('requires what the chosen way needs, and one of two that stand for each other', () => {
  const required = (key: string, way = KEY, values = {}): boolean =>
    isRequired(CLOUD, key, way ?? null, values);
  expect(required('access_key')).toBe(true);
  expect(required('access_key', USER)).toBe(false);
  expect(required('endpoint')).toBe(true);
  expect(required('endpoint', KEY, { region: 'x' })).toBe(false);
  expect(required('region')).toBe(false);
});

it.each([
  ['oneaccess', 'ONEACCESS_TOKEN'],
  ['pai-dlc.eu', 'PAI_DLC_EU_TOKEN'],
  ['4you', '_4YOU_TOKEN'],
  ['', undefined]
])('prefills the variable of %j', (name, variable) => {
  expect(variableFor(name)).toBe(variable);
});

it('prefills a variable for each of several values', () => {
  expect(variableFor('role', ['AccessKeyId', 'SecurityToken'])).toBe(
    'AccessKeyId=ROLE_ACCESS_KEY_ID,SecurityToken=ROLE_SECURITY_TOKEN'
  );
  expect(variableFor('hw-sts', ['secret_access_key'])).toBe(
    'secret_access_key=HW_STS_SECRET_ACCESS_KEY'
  );
  expect(variableFor('', ['AccessKeyId'])).toBeUndefined();
});

it('writes the variables of several values on one line', () => {
  const env = { AccessKeyId: 'KEY_ID', AccessKeySecret: 'KEY_SECRET' };
  expect(plain({ provider: 'alibaba-sts', env, params: { RoleArn: 'acs:ram::1:role/x' } })).toEqual(
    {
      env: 'AccessKeyId=KEY_ID,AccessKeySecret=KEY_SECRET'
    }
  );
  expect(plain({ env: 'ACME_TOKEN' })).toEqual({ env: 'ACME_TOKEN' });
});
