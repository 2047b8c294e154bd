import { namesOf, written, type IProfile, type ISdk, type Params } from './tokens';

/** A way to use a token, as code to run; it never holds a value. */
export interface ISnippet {
  readonly id: string;
  /** Its name, which is not translated. */
  readonly name: string;
  readonly code: string;
  /** Whether it can be a cell of a notebook in that language; the others are for a terminal. */
  readonly isCell: boolean;
}

/** Does nothing in a kernel in which the extension is already loaded. */
export const LOAD = '%load_ext jupyter_tokens';

/** Placeholder for the API, if the profile has no base URL. */
const ANY_API = 'https://api.example.com';

export interface IUse {
  readonly profile: IProfile;
  readonly params: Params;
  /** Whether a token has several values that belong together, which cannot be sent in a header. */
  readonly isSeveral: boolean;
  /** The environment variable for the token; null if there is none. */
  readonly variable: string | null;
  /** As the kernelspec writes it; Python if there is no kernel. */
  readonly language: string;
  /** Whether the extension is loaded in the kernel. */
  readonly isLoaded: boolean;
}

/** The ways to use a profile's token in a notebook of this language, the shortest first. */
export function snippets(use: IUse): readonly ISnippet[] {
  const language = use.language.toLowerCase();
  const cell = (id: string, name: string, code: string): ISnippet => ({
    id,
    name,
    code,
    isCell: true
  });
  const sdks = use.profile.sdks.map(sdk => cell(sdk.name, sdk.title, withSdk(sdk, use)));
  // The API only describes the token, or it has several values.
  const isDescribed = use.profile.has_value === false;
  if (isDescribed || use.isSeveral) {
    const shown = isDescribed ? 'token.metadata' : 'token.fields';
    return language === 'python'
      ? [
          cell('gettoken', '%gettoken', gettoken(use)),
          ...(isDescribed ? [] : sdks),
          cell('python', 'get_token', `${getToken(use)}\n${shown}`)
        ]
      : [];
  }
  if (language === 'python') {
    return [
      cell('gettoken', '%gettoken', gettoken(use)),
      cell('httpx', 'httpx', withClient('httpx', use)),
      cell('requests', 'requests', withClient('requests', use)),
      ...sdks,
      cell('curl', 'curl', `%%bash\n${curl(use)}`)
    ];
  }
  const ofLanguage =
    use.variable === null
      ? []
      : language === 'r'
        ? [cell('httr2', 'httr2', httr2(use.profile, use.variable))]
        : language === 'julia'
          ? [cell('http', 'HTTP.jl', httpJulia(use.profile, use.variable))]
          : [];
  return [...ofLanguage, { id: 'curl', name: 'curl', code: curl(use), isCell: false }];
}

/**
 * The magic that fetches a profile's token with these parameters.
 *
 * @param place - Options for where the token goes, if not to the profile's variable.
 */
export function magic(profile: string, params: Params, ...place: readonly string[]): string {
  return ['%gettoken', ...words(profile, params), ...place].join(' ');
}

function gettoken(use: IUse): string {
  const { profile, params, variable } = use;
  const isOfProfile = profile.env !== null && variable === namesOf(profile.env);
  const place = variable === null || isOfProfile ? [] : ['--env', variable];
  return loaded(use, magic(profile.name, params, ...place));
}

function loaded({ isLoaded }: IUse, line: string): string {
  return isLoaded ? line : `${LOAD}\n${line}`;
}

/** Profile and parameters, quoted for a shell; the magic parses its line the same way. */
function words(profile: string, params: Params): string[] {
  return [
    quoted(profile),
    ...Object.entries(params).map(([name, value]) => quoted(`${name}=${written(value)}`))
  ];
}

function quoted(word: string): string {
  return /^[\w.=:@%+/-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function getToken({ profile, params }: IUse): string {
  const given = Object.entries(params);
  const plain = given.every(([name]) => /^[A-Za-z]\w*$/.test(name) && !OURS.includes(name));
  const named = given.map(([name, value]) => `${name}=${python(value)}`);
  const listed = given.map(([name, value]) => `${python(name)}: ${python(value)}`);
  const all = plain ? named : [`params={${listed.join(', ')}}`];
  return `from jupyter_tokens import get_token\n\ntoken = get_token(${[python(profile.name), ...all].join(', ')})`;
}

/** The arguments of `get_token` that are not the vendor's. */
const OURS: readonly string[] = ['params', 'refresh'];

/** A value as a Python literal: as in JSON, except for true and false. */
function python(value: Params[string]): string {
  return typeof value === 'boolean' ? (value ? 'True' : 'False') : JSON.stringify(value);
}

function withClient(client: 'httpx' | 'requests', use: IUse): string {
  const url = use.profile.base_url === null ? `"${ANY_API}/"` : 'f"{token.base_url}/"';
  return [
    `import ${client}`,
    getToken(use),
    '',
    `response = ${client}.get(${url}, auth=token.auth)`,
    'response.raise_for_status()',
    'response.text'
  ].join('\n');
}

function withSdk({ name, imports, code, takes_token }: ISdk, use: IUse): string {
  if (takes_token) {
    return [imports, getToken(use), code].join('\n');
  }
  const { profile, params } = use;
  // Some SDKs read their variables when they are imported.
  return [loaded(use, magic(profile.name, params, '--sdk', name)), imports, code].join('\n\n');
}

/** The header goes through a pipe: other users of the machine can see the arguments of a program. */
function curl({ profile, params }: IUse): string {
  const get = ['jupyter tokens get', ...words(profile.name, params), '--format header'].join(' ');
  return `${get} | curl -sS -H @- ${quoted(`${profile.base_url ?? ANY_API}/`)}`;
}

function httr2(profile: IProfile, variable: string): string {
  const env = `Sys.getenv("${variable}")`;
  const value = profile.scheme ? `paste("${profile.scheme}", ${env})` : env;
  return [
    'library(httr2)',
    '',
    `request(${JSON.stringify(`${profile.base_url ?? ANY_API}/`)}) |>`,
    `  req_headers(\`${profile.header}\` = ${value}) |>`,
    '  req_perform() |>',
    '  resp_body_string()'
  ].join('\n');
}

function httpJulia(profile: IProfile, variable: string): string {
  const env = `ENV["${variable}"]`;
  const value = profile.scheme ? `"${profile.scheme} " * ${env}` : env;
  const url = JSON.stringify(`${profile.base_url ?? ANY_API}/`);
  return `using HTTP\n\nHTTP.get(${url}, ["${profile.header}" => ${value}])`;
}
