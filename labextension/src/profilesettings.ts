import type { Keeping } from './secretfield';
import type { IEditable, IFieldSchema, IProvider, ISignIn, Params, Setting, Value } from './tokens';

/** The common settings that the form shows. */
const COMMON = ['env', 'timeout', 'allow_create'];

/** The common settings that the form does not show; they are sent back unchanged. */
const UNSEEN = [
  'verify',
  'kernels',
  'notebooks',
  'inject_at_start',
  'fixed_params',
  'hosts',
  'sdk'
];

/** The id of a profile's provider; null for a new profile, or one without a provider. */
export function providerOf(editable: IEditable | null): string | null {
  const provider = editable?.settings.provider;
  return typeof provider === 'string' ? provider : null;
}

/** The provider's own settings: the connection first, then the credential. */
export function own(provider: IProvider): Record<string, IFieldSchema> {
  const others = [...COMMON, ...UNSEEN, 'provider', 'params'];
  const isWhere = ([key, { format }]: [string, IFieldSchema]): number =>
    Number(format === 'uri' || key === 'region');
  return Object.fromEntries(
    Object.entries(provider.settings.properties)
      .filter(([key]) => !others.includes(key))
      .sort((one, other) => isWhere(other) - isWhere(one))
  );
}

/** The ways to sign in, if there are several. */
export function signIns(provider: IProvider): readonly ISignIn[] {
  return provider.settings['x-sign-in'] ?? [];
}

/** The way to sign in that a profile uses; the first for a new one. */
export function signInOf(provider: IProvider, editable: IEditable | null): ISignIn | null {
  const ways = signIns(provider);
  const has = (key: string): boolean =>
    editable?.settings[key] !== undefined || editable?.secrets.includes(key) === true;
  const isUsed = ({ set, required }: ISignIn): boolean =>
    set
      ? Object.entries(set).every(([key, value]) => editable?.settings[key] === value)
      : required.some(has);
  const usesDefault = ({ set }: ISignIn): boolean =>
    set !== undefined &&
    Object.entries(set).every(
      ([key, value]) => provider.settings.properties[key]?.default === value
    );
  return ways.find(isUsed) ?? ways.find(usesDefault) ?? ways[0] ?? null;
}

/**
 * The provider's own settings for one way to sign in, without settings that only other ways use or
 * that select a way.
 */
export function settingsFor(
  provider: IProvider,
  way: ISignIn | null
): Record<string, IFieldSchema> {
  const chosen = new Set(signIns(provider).flatMap(({ set }) => Object.keys(set ?? {})));
  return Object.fromEntries(
    Object.entries(own(provider)).filter(([key, schema]) => {
      const ways = schema['x-sign-in'] ?? [];
      return !chosen.has(key) && (ways.length === 0 || (way !== null && ways.includes(way.id)));
    })
  );
}

/** Whether a setting has to be given, with this way to sign in and these other values. */
export function isRequired(
  provider: IProvider,
  key: string,
  way: ISignIn | null,
  values: Params
): boolean {
  const conditions = provider.settings.properties[key]?.['x-required-when'] ?? [];
  return (
    provider.settings.required?.includes(key) === true ||
    conditions.some(
      ({ sign_in, without }) =>
        (sign_in === undefined || sign_in === way?.id) &&
        (without === undefined || values[without] === undefined)
    )
  );
}

/**
 * The default environment variable of a new profile; for a token with several values, a variable
 * for each of them.
 *
 * @param fields - The names of the values, if there are several.
 */
export function variableFor(name: string, fields: readonly string[] = []): string | undefined {
  if (name === '') {
    return undefined;
  }
  const prefix = upperWords(name).replace(/^(?=[0-9])/, '_');
  // `AccessKeyId` becomes `ACCESS_KEY_ID`.
  const words = (field: string): string => upperWords(field.replace(/(?<=[a-z])(?=[A-Z])/g, '_'));
  return fields.length > 0
    ? fields.map(field => `${field}=${prefix}_${words(field)}`).join(',')
    : `${prefix}_TOKEN`;
}

function upperWords(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]+/g, '_');
}

/** The common settings that the form shows. */
export function common(provider: IProvider): Record<string, IFieldSchema> {
  return Object.fromEntries(
    COMMON.flatMap(key => {
      const schema = provider.settings.properties[key];
      return schema ? [[key, schema]] : [];
    })
  );
}

/**
 * The settings that are strings, numbers or booleans; an `env` with several variables as
 * `FIELD=VAR,FIELD=VAR`.
 */
export function plain({ provider: _, env, ...settings }: IEditable['settings']): Params {
  const variables =
    typeof env === 'object'
      ? Object.entries(env)
          .map(pair => pair.join('='))
          .join(',')
      : env;
  const all: [string, Value | Params | undefined][] = Object.entries({
    ...settings,
    env: variables
  });
  return Object.fromEntries(
    all.filter(
      (entry): entry is [string, Value] => entry[1] !== undefined && typeof entry[1] !== 'object'
    )
  );
}

/**
 * The settings that the form does not show: they are sent back unchanged if the chosen provider has
 * them too.
 */
export function unseen(editable: IEditable | null, provider: IProvider): Record<string, Setting> {
  return Object.fromEntries(
    Object.entries(editable?.settings ?? {}).filter(
      ([key]) => UNSEEN.includes(key) && key in provider.settings.properties
    )
  );
}

/**
 * The values that the form shows. Others may be left over from a provider or way to sign in chosen
 * before.
 */
export function known(values: Params, provider: IProvider, way: ISignIn | null): Params {
  const shown = { ...settingsFor(provider, way), ...common(provider) };
  return {
    ...Object.fromEntries(Object.entries(values).filter(([key]) => key in shown)),
    ...way?.set
  };
}

/** Like `secretsOf`, and clears the inputs. */
export function taken(...all: Parameters<typeof secretsOf>): Record<string, Setting> {
  const secrets = secretsOf(...all);
  for (const input of all[0].querySelectorAll<HTMLInputElement>('input[data-secret]')) {
    input.value = '';
  }
  return secrets;
}

/** The typed secrets; for an empty input, `keep` if the server has stored a secret. */
export function secretsOf(
  form: HTMLFormElement,
  provider: IProvider,
  keeping: (name: string) => Keeping,
  editable: IEditable | null
): Record<string, Setting> {
  const secrets: Record<string, Setting> = {};
  for (const input of form.querySelectorAll<HTMLInputElement>('input[data-secret]')) {
    const typed = input.value;
    const store = keeping(input.name);
    if (typed) {
      secrets[input.name] = store === 'reference' ? typed : { value: typed, store };
    } else if (editable?.secrets.includes(input.name) && providerOf(editable) === provider.id) {
      secrets[input.name] = { keep: true };
    }
  }
  return secrets;
}
