import type { TranslationBundle } from '@jupyterlab/translation';
import { HTMLSelect } from '@jupyterlab/ui-components';
import React from 'react';

import { agreed, pressed } from './button';
import { changed, Field, Fields } from './fields';
import { ProblemView } from './problem';
import {
  common,
  isRequired,
  known,
  plain,
  providerOf,
  secretsOf,
  settingsFor,
  signInOf,
  signIns,
  taken,
  unseen,
  variableFor
} from './profilesettings';
import { problemOf } from './request';
import { SecretField, type Keeping } from './secretfield';
import type {
  IEditable,
  IFieldSchema,
  IFound,
  IListed,
  IProvider,
  ITokens,
  Outcome,
  Params,
  Settings
} from './tokens';

interface IProfileFormProps {
  readonly tokens: ITokens;
  /** Null to add a profile. */
  readonly editable: IEditable | null;
  /** The initial values of a new profile. */
  readonly found: IFound | null;
  readonly trans: TranslationBundle;
  /** Called with whether the form holds input that is not saved, when that changes. */
  readonly onChange: (isUnsaved: boolean) => void;
  readonly onClose: () => void;
}

/** The form that adds or changes a profile, made from the provider's schema. */
export function ProfileForm({
  tokens,
  editable: opened,
  found,
  trans,
  onChange,
  onClose
}: IProfileFormProps): React.JSX.Element {
  const form = React.useRef<HTMLFormElement>(null);
  // The profile as saved: its secrets need not be typed again to correct another setting.
  const [editable, setEditable] = React.useState(opened);
  const draft = found && { name: found.profile, settings: found.settings, secrets: [] };
  const start = opened ?? draft;
  const [name, setName] = React.useState(start?.name ?? '');
  const [chosen, setChosen] = React.useState(providerOf(start) ?? tokens.providers[0]?.id ?? '');
  const [values, setValues] = React.useState<Params>(() => plain(start?.settings ?? {}));
  const [params, setParams] = React.useState<Params>(
    () => (editable?.settings.params as Params | undefined) ?? {}
  );
  const [keeping, setKeeping] = React.useState<Readonly<Record<string, Keeping>>>({});
  const [report, setReport] = React.useState<Outcome | null>(null);
  const problem = report?.kind === 'problem' ? report.problem : null;
  const [busy, setBusy] = React.useState(false);
  const [wanted, setWanted] = React.useState<string | null>(null);
  const provider = tokens.providers.find(known => known.id === chosen);
  const ways = provider ? signIns(provider) : [];
  const way =
    ways.find(({ id }) => id === wanted) ??
    (provider
      ? signInOf(provider, providerOf(start) === chosen ? (editable ?? start) : null)
      : null);
  // By default the server's best place, or the reference of an imported credential.
  const keepingOf = (key: string): Keeping =>
    keeping[key] ??
    (found?.settings[key] === undefined ? (tokens.stores[0] ?? 'file') : 'reference');

  React.useEffect(() => {
    form.current?.querySelector<HTMLElement>('input:not(:disabled), select')?.focus();
  }, []);

  const end = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    const wrong = form.current?.querySelector<HTMLElement>('[aria-invalid]');
    if (wrong) {
      wrong.focus();
    } else if (report) {
      end.current?.scrollIntoView({ block: 'nearest' });
    }
  }, [report]);

  const written = (
    provider: IProvider,
    secrets: ReturnType<typeof secretsOf>,
    params: Params
  ): Settings => ({
    ...unseen(editable, provider),
    ...known(values, provider, way),
    ...secrets,
    provider: chosen,
    ...(Object.keys(params).length > 0 && { params })
  });
  const list = async (param: string): Promise<readonly IListed[]> => {
    if (!form.current || !provider) {
      return [];
    }
    const secrets = secretsOf(form.current, provider, keepingOf, editable);
    // Without the parameter's own value, which may be half typed.
    const settings = written(provider, secrets, changed(params, param, undefined));
    return tokens.values(name || chosen, param, {}, settings);
  };

  const save = async (test: boolean): Promise<void> => {
    if (busy || !form.current?.reportValidity() || !provider) {
      return;
    }
    if (!editable && tokens.profiles?.some(profile => profile.name === name)) {
      const text = trans.__('A profile with this name exists: edit it, or choose another name.');
      setReport({ kind: 'problem', problem: problemOf(new Error(text)) });
      return;
    }
    setBusy(true);
    setReport(null);
    const secrets = taken(form.current, provider, keepingOf, editable);
    try {
      // Before the request: what is typed while it is under way is not saved.
      onChange(false);
      await tokens.put(name, written(provider, secrets, params)).catch((error: unknown) => {
        onChange(true);
        throw error;
      });
      if (!test) {
        onClose();
        return;
      }
      setEditable(await tokens.editable(name));
      await tokens.fetch(name, {}, true);
      setReport({ kind: 'done', text: trans.__('Saved, and it works: a token was fetched.') });
    } catch (error) {
      const problem = problemOf(error);
      setReport(
        problem.reason === 'login'
          ? { kind: 'done', text: trans.__('Saved. Close this form, and log in on its card.') }
          : { kind: 'problem', problem }
      );
    } finally {
      setBusy(false);
    }
  };
  const fields = provider?.fields ?? [];
  // Follows name and provider until the user types another variable.
  const fillVariable = (to: string, itsFields: readonly string[]): void => {
    if (values.env === variableFor(name, fields)) {
      setValues(changed(values, 'env', variableFor(to, itsFields)));
    }
  };
  const rename = (to: string): void => {
    setName(to);
    fillVariable(to, fields);
  };
  const choose = (id: string): void => {
    setChosen(id);
    fillVariable(name, tokens.providers.find(known => known.id === id)?.fields ?? []);
  };
  const own = provider ? Object.entries(settingsFor(provider, way)) : [];
  const ofUse = provider ? Object.entries(common(provider)) : [];
  // The field that is wrong, if the form shows it.
  const wrong = [...own, ...ofUse].find(([key]) => key === problem?.setting)?.[0];
  const field = ([key, schema]: [string, IFieldSchema]): React.JSX.Element => {
    const facts = {
      id: `jp-Tokens-form-${key}`,
      name: key,
      schema,
      required: provider ? isRequired(provider, key, way, values) : false,
      problem: wrong === key ? problem?.message : undefined,
      trans
    };
    return schema.writeOnly ? (
      <SecretField
        key={`${chosen}-${key}`}
        {...facts}
        stored={editable?.secrets.includes(key) ?? false}
        keeping={keepingOf(key)}
        stores={tokens.stores}
        reference={providerOf(start) === chosen ? found?.settings[key] : undefined}
        onKeeping={(of, how) => setKeeping({ ...keeping, [of]: how })}
      />
    ) : (
      <Field
        key={`${chosen}-${key}`}
        {...facts}
        enforced
        value={values[key]}
        onChange={(of, value) => setValues(changed(values, of, value))}
      />
    );
  };
  const isAdvanced = ([, schema]: [string, IFieldSchema]): boolean => schema['x-advanced'] === true;
  const ofSignIn = ([, schema]: [string, IFieldSchema]): boolean =>
    (schema['x-sign-in'] ?? []).length > 0;
  const isPlain = (entry: [string, IFieldSchema]): boolean => !isAdvanced(entry);
  const advanced = [...own, ...ofUse].filter(isAdvanced);

  const remove = async (): Promise<void> => {
    if (!editable) {
      return;
    }
    const isAgreed = await agreed(
      trans.__('Remove %1?', editable.name),
      trans.__('This removes the profile, its stored secrets and its tokens.'),
      trans.__('Remove'),
      trans
    );
    if (isAgreed) {
      try {
        await tokens.remove(editable.name);
        onClose();
      } catch (error) {
        setReport({ kind: 'problem', problem: problemOf(error) });
      }
    }
  };
  return (
    <form
      ref={form}
      className="jp-Tokens-form"
      aria-label={opened ? trans.__('Edit %1', opened.name) : trans.__('Add a profile')}
      aria-busy={busy}
      onChange={() => onChange(true)}
      onSubmit={event => {
        event.preventDefault();
        void save(true);
      }}
    >
      <h3>{opened ? trans.__('Edit %1', opened.name) : trans.__('Add a profile')}</h3>
      <div className="jp-Tokens-field">
        <label htmlFor="jp-Tokens-form-name">{trans.__('Name')}</label>
        <input
          id="jp-Tokens-form-name"
          className="jp-mod-styled"
          required
          disabled={editable !== null}
          pattern="[A-Za-z0-9][A-Za-z0-9._\-]{0,79}"
          title={trans.__('Up to 80 letters, digits, dots, hyphens and underscores.')}
          autoComplete="off"
          spellCheck={false}
          value={name}
          onChange={event => rename(event.target.value)}
        />
      </div>
      <div className="jp-Tokens-field">
        <label htmlFor="jp-Tokens-form-provider">{trans.__('Provider')}</label>
        <HTMLSelect
          id="jp-Tokens-form-provider"
          value={chosen}
          onChange={event => choose(event.target.value)}
        >
          {tokens.providers.map(({ id, title }) => (
            <option key={id} value={id}>
              {title}
            </option>
          ))}
        </HTMLSelect>
      </div>
      {provider && (
        <>
          <fieldset>
            <legend>{trans.__('Connection')}</legend>
            {own.filter(entry => isPlain(entry) && !ofSignIn(entry)).map(field)}
            {ways.length > 0 && (
              <div className="jp-Tokens-field">
                <label htmlFor="jp-Tokens-form-sign-in">{trans.__('Sign in with')}</label>
                <HTMLSelect
                  id="jp-Tokens-form-sign-in"
                  value={way?.id ?? ''}
                  onChange={event => setWanted(event.target.value)}
                >
                  {ways.map(({ id, title }) => (
                    <option key={id} value={id}>
                      {title}
                    </option>
                  ))}
                </HTMLSelect>
              </div>
            )}
            {own.filter(entry => isPlain(entry) && ofSignIn(entry)).map(field)}
          </fieldset>
          {Object.keys(provider.params.properties).length > 0 && (
            <fieldset>
              <legend>{trans.__('Request parameters')}</legend>
              <Fields
                id="jp-Tokens-form-params"
                schema={{ properties: provider.params.properties }}
                values={params}
                defaults={{}}
                list={list}
                onChange={setParams}
                trans={trans}
              />
            </fieldset>
          )}
          <fieldset>
            <legend>{trans.__('In notebooks')}</legend>
            {ofUse.filter(isPlain).map(field)}
          </fieldset>
          <details
            key={`${chosen}-${way?.id}`}
            open={
              advanced.some(([key]) => key === wrong) ||
              (opened !== null && advanced.some(([key]) => values[key] !== undefined))
            }
          >
            <summary>{trans.__('Advanced')}</summary>
            {advanced.map(field)}
          </details>
        </>
      )}
      <div className="jp-Tokens-row jp-Tokens-formActions">
        <button type="submit" className="jp-Tokens-button jp-Tokens-inject" aria-disabled={busy}>
          {trans.__('Save and test')}
        </button>
        <button type="button" className="jp-Tokens-button" {...pressed(!busy, () => save(false))}>
          {trans.__('Save')}
        </button>
        <button type="button" className="jp-Tokens-button" onClick={onClose}>
          {report?.kind === 'done' ? trans.__('Close') : trans.__('Cancel')}
        </button>
        <span className="jp-Tokens-spacer" />
        {editable && (
          <button
            type="button"
            className="jp-Tokens-button jp-Tokens-remove"
            {...pressed(!busy, remove)}
          >
            {trans.__('Remove')}
          </button>
        )}
      </div>
      <div ref={end}>
        <div role="status" className="jp-Tokens-outcome">
          {report?.kind === 'done' && report.text}
        </div>
        {problem && wrong === undefined && <ProblemView problem={problem} trans={trans} />}
      </div>
    </form>
  );
}
