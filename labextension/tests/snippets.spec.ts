import { expect, it } from 'vitest';

import { magic, snippets, type IUse } from '../src/snippets';
import type { ISdk } from '../src/tokens';
import { profile } from './facts';

it.each([
  ['oneaccess', {}, '%gettoken oneaccess'],
  ['pai-dlc', { ExpireTime: 60 }, '%gettoken pai-dlc ExpireTime=60'],
  ['m2m', { ScopeValues: ['a', 'b'] }, `%gettoken m2m 'ScopeValues=a b'`],
  ['acme', { Name: "it's two words" }, `%gettoken acme 'Name=it'"'"'s two words'`]
])('writes the magic of %s', (profile, params, written) => {
  expect(magic(profile, params)).toBe(written);
});

const SDK: ISdk = {
  name: 'alibaba',
  title: 'Alibaba Cloud SDK',
  imports: 'import alibaba',
  code: 'Client()',
  takes_token: false
};
const OBJECT: ISdk = {
  name: 'openai',
  title: 'OpenAI SDK',
  imports: 'import openai',
  code: 'OpenAI(token)',
  takes_token: true
};

function usage(facts: Partial<IUse> = {}): IUse {
  return {
    profile: profile(),
    params: {},
    variable: 'ACME_TOKEN',
    language: 'python',
    isLoaded: true,
    isSeveral: false,
    ...facts
  };
}

const code = (id: string, facts: Partial<IUse> = {}): string | undefined =>
  snippets(usage(facts)).find(one => one.id === id)?.code;

it('offers what a language has', () => {
  const ids = (facts: Partial<IUse>): string[] => snippets(usage(facts)).map(one => one.id);
  expect(ids({})).toEqual(['gettoken', 'httpx', 'requests', 'curl']);
  expect(ids({ profile: profile({ sdks: [SDK] }) })).toContain('alibaba');
  expect(ids({ language: 'R' })).toEqual(['httr2', 'curl']);
  expect(ids({ language: 'julia' })).toEqual(['http', 'curl']);
  expect(ids({ language: 'R', variable: null })).toEqual(['curl']);
  expect(ids({ language: 'cobol' })).toEqual(['curl']);
  // There is no value to send.
  expect(ids({ profile: profile({ has_value: false }) })).toEqual(['gettoken', 'python']);
});

it('sends no token of several values in a header', () => {
  const key = profile({ env: { AccessKeyId: 'KEY_ID', SecurityToken: 'STS' } });
  const facts = { profile: key, variable: 'KEY_ID, STS', isSeveral: true };
  expect(code('gettoken', facts)).toBe('%gettoken acme');
  expect(code('python', facts)).toContain('token.fields');
  expect(code('httpx', facts)).toBeUndefined();
  expect(snippets(usage({ ...facts, language: 'R' }))).toEqual([]);
});

it('loads the extension where it is not', () => {
  expect(code('gettoken', { isLoaded: false })).toBe('%load_ext jupyter_tokens\n%gettoken acme');
  expect(code('gettoken', { variable: 'MINE' })).toBe('%gettoken acme --env MINE');
});

it('calls the API of the profile', () => {
  expect(code('httpx', { params: { ExpireTime: 60, Deep: true } })).toBe(
    [
      'import httpx',
      'from jupyter_tokens import get_token',
      '',
      'token = get_token("acme", ExpireTime=60, Deep=True)',
      '',
      'response = httpx.get(f"{token.base_url}/", auth=token.auth)',
      'response.raise_for_status()',
      'response.text'
    ].join('\n')
  );
  expect(code('requests', { profile: profile({ base_url: null }) })).toContain(
    'requests.get("https://api.example.com/", auth=token.auth)'
  );
});

it('passes names that are no Python names in a mapping', () => {
  const params = { 'Settings.Deep': 'it"s', refresh: true };
  expect(code('httpx', { params })).toContain(
    'get_token("acme", params={"Settings.Deep": "it\\"s", "refresh": True})'
  );
});

it('keeps the token out of the arguments of a program', () => {
  expect(code('curl', { language: 'cobol', params: { A: 'b c' } })).toBe(
    `jupyter tokens get acme 'A=b c' --format header | curl -sS -H @- https://acme.example/`
  );
  expect(code('curl')).toMatch(/^%%bash\njupyter tokens get acme /);
});

it("sends the token in the API's own header", () => {
  const own = profile({ header: 'X-Auth-Token', scheme: '' });
  expect(code('httr2', { profile: own, language: 'R' })).toContain(
    'req_headers(`X-Auth-Token` = Sys.getenv("ACME_TOKEN"))'
  );
  expect(code('httr2', { language: 'R' })).toContain(
    'req_headers(`Authorization` = paste("Bearer", Sys.getenv("ACME_TOKEN")))'
  );
  expect(code('http', { language: 'julia' })).toContain(
    '["Authorization" => "Bearer " * ENV["ACME_TOKEN"]]'
  );
});

it('puts the token where an SDK looks, or passes it on', () => {
  const use = { profile: profile({ sdks: [SDK, OBJECT] }), params: { DurationSeconds: 900 } };
  expect(code('alibaba', { ...use, isSeveral: true })).toBe(
    '%gettoken acme DurationSeconds=900 --sdk alibaba\n\nimport alibaba\n\nClient()'
  );
  expect(code('alibaba', { ...use, isLoaded: false })).toMatch(/^%load_ext jupyter_tokens\n%get/);
  expect(code('openai', use)).toBe(
    [
      'import openai',
      'from jupyter_tokens import get_token',
      '',
      'token = get_token("acme", DurationSeconds=900)',
      'OpenAI(token)'
    ].join('\n')
  );
});
