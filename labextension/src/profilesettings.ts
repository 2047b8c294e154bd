import type { Keeping } from './secretfield';
import type {
  IEditable,
  IFieldSchema,
  IObjectSchema,
  IProvider,
  Params,
  Setting,
  Value
} from './tokens';

/** The common settings that the form shows. */
const COMMON = ['env', 'timeout', 'allow_create'];

/** The common settings that the form does not show; they are sent back unchanged. */
const OTHERS = [
  'provider',
  'params',
  'verify',
  'kernels',
  'notebooks',
  'inject_at_start',
  'fixed_params'
];

/** Null for a new profile, or one without a provider. */
export function providerOf(editable: IEditable | null): string | null {
  const provider = editable?.settings.provider;
  return typeof provider === 'string' ? provider : null;
}

/** The provider's own settings: the connection first, then the credential. */
export function own(provider: IProvider): Record<string, IFieldSchema> {
  const others = [...COMMON, ...OTHERS];
  const isWhere = ([key, { format }]: [string, IFieldSchema]): number =>
    Number(format === 'uri' || key === 'region');
  return Object.fromEntries(
    Object.entries(provider.settings.properties)
      .filter(([key]) => !others.includes(key))
      .sort((one, other) => isWhere(other) - isWhere(one))
  );
}

export function common(provider: IProvider): IObjectSchema {
  const { properties } = provider.settings;
  return {
    properties: Object.fromEntries(
      COMMON.flatMap(key => {
        const schema = properties[key];
        return schema ? [[key, schema]] : [];
      })
    )
  };
}

/** The values that are strings, numbers or booleans. */
export function plain(settings: IEditable['settings']): Params {
  return Object.fromEntries(
    Object.entries(settings).filter(
      (entry): entry is [string, Value] => entry[0] !== 'provider' && typeof entry[1] !== 'object'
    )
  );
}

/** What the form does not show is sent back unchanged, if the chosen provider has it too. */
export function unseen(editable: IEditable | null, provider: IProvider): Record<string, Setting> {
  const shown = new Set([...Object.keys(own(provider)), ...COMMON, 'provider', 'params']);
  return Object.fromEntries(
    Object.entries(editable?.settings ?? {}).filter(
      ([key]) => !shown.has(key) && key in provider.settings.properties
    )
  );
}

/** The values for which this provider has a setting: another provider may have been chosen before. */
export function known(values: Params, provider: IProvider): Params {
  return Object.fromEntries(
    Object.entries(values).filter(([key]) => key in provider.settings.properties)
  );
}

/** The typed secrets, whose inputs are then cleared; or those that the server keeps. */
export function taken(
  form: HTMLFormElement,
  provider: IProvider,
  keeping: Readonly<Record<string, Keeping>>,
  editable: IEditable | null
): Record<string, Setting> {
  const secrets: Record<string, Setting> = {};
  for (const input of form.querySelectorAll<HTMLInputElement>('input[data-secret]')) {
    const typed = input.value;
    input.value = '';
    const store = keeping[input.name] ?? 'keyring';
    if (typed) {
      secrets[input.name] = store === 'reference' ? typed : { value: typed, store };
    } else if (editable?.secrets.includes(input.name) && providerOf(editable) === provider.id) {
      secrets[input.name] = { keep: true };
    }
  }
  return secrets;
}
