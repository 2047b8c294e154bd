import type { ILoginAttempt, IProblem, IProfile, IProvider } from '../src/tokens';

/** A profile as the server tells it. */
export function profile(facts: Partial<IProfile> = {}): IProfile {
  return {
    name: 'acme',
    provider: 'oneaccess',
    title: 'Huawei Cloud OneAccess',
    env: 'ACME_TOKEN',
    base_url: 'https://acme.example',
    header: 'Authorization',
    scheme: 'Bearer',
    params: {},
    token_params: {},
    sandbox: false,
    state: 'none',
    expires_at: null,
    has_value: null,
    login: null,
    origin: '',
    may_reveal: true,
    sdks: [],
    error: null,
    ...facts
  };
}

/** The server's answer to `GET profiles`. */
export function listed(...profiles: IProfile[]): object {
  return { profiles, may_reveal: true, may_edit: true, loaded_in: [] };
}

export const INJECTION = {
  id: 'i',
  state: 'done',
  env: 'MINE',
  language: 'python',
  expires_at: null,
  kept_by: null
};

export const PROBLEM: IProblem = {
  message: 'The signature is wrong.',
  reason: 'unauthorized',
  code: 'SignatureDoesNotMatch',
  request_id: 'REQ-1',
  retryable: false
};

export const PROVIDER: IProvider = {
  id: 'oneaccess',
  title: 'Huawei Cloud OneAccess',
  fields: [],
  settings: {
    properties: {
      provider: { const: 'oneaccess' },
      endpoint: { type: 'string', format: 'uri' },
      client_secret: { type: 'string', writeOnly: true }
    }
  },
  params: {
    properties: {
      Kind: { type: 'string', enum: ['job', 'user'] },
      ExpireTime: { type: 'integer', minimum: 0 },
      Password: { type: 'string', writeOnly: true }
    }
  }
};

/** A login in this browser, or with a code on another device, as the server tells it. */
export function attempt(facts: Partial<ILoginAttempt> = {}): ILoginAttempt {
  return {
    id: 'l1',
    state: 'waiting',
    url: 'https://login.example/authorize?state=s',
    user_code: null,
    verification_uri: null,
    verification_uri_complete: null,
    interval: 1,
    who: null,
    error: null,
    ...facts
  };
}
