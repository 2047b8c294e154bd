import type { TranslationBundle } from '@jupyterlab/translation';
import { HTMLSelect } from '@jupyterlab/ui-components';
import React from 'react';

import { Picker, type List } from './picker';
import { written, type IFieldSchema, type IObjectSchema, type Params, type Value } from './tokens';

interface IFieldProps {
  readonly id: string;
  readonly name: string;
  readonly schema: IFieldSchema;
  readonly required: boolean;
  /** Whether the browser refuses to send the form without it. */
  readonly enforced?: boolean;
  readonly value: Value | undefined;
  /** What is wrong with it. */
  readonly problem?: string | undefined;
  readonly placeholder?: string;
  /** Lists the values to offer; null if parameters that the API needs for that are missing. */
  readonly list?: List | null;
  /** Undefined removes the value, so that the default applies. */
  readonly onChange: (name: string, value: Value | undefined) => void;
  readonly trans: TranslationBundle;
}

/** Label, input and help for one property of a JSON schema. */
export function Field(props: IFieldProps): React.JSX.Element {
  const { id, name, schema, list, trans } = props;
  return (
    <FieldFrame {...props}>
      {list === undefined ? (
        <Input {...props} />
      ) : (
        <Picker id={id} label={schema.title ?? name} list={list} trans={trans}>
          <Input {...props} />
        </Picker>
      )}
    </FieldFrame>
  );
}

interface IFieldFrameProps extends Pick<
  IFieldProps,
  'id' | 'name' | 'schema' | 'required' | 'problem'
> {
  readonly children: React.ReactNode;
}

/** What is around an input: its label, whose tooltip is the name in configuration files; what is wrong; help. */
export function FieldFrame(props: IFieldFrameProps): React.JSX.Element {
  const { id, name, schema, required, problem, children } = props;
  return (
    <div className="jp-Tokens-field">
      <label htmlFor={id} title={name} className={required ? 'jp-Tokens-required' : undefined}>
        {schema.title ?? name}
      </label>
      {children}
      {problem !== undefined && (
        <div className="jp-Tokens-wrong" id={`${id}-problem`} role="alert">
          {problem}
        </div>
      )}
      {schema.description && (
        <div className="jp-Tokens-help" id={`${id}-help`}>
          {schema.description}
        </div>
      )}
    </div>
  );
}

/** The attributes that describe an input to screen readers. */
export function described(
  id: string,
  schema: IFieldSchema,
  problem: string | undefined
): React.AriaAttributes {
  const texts = [
    ...(problem === undefined ? [] : [`${id}-problem`]),
    ...(schema.description ? [`${id}-help`] : [])
  ];
  return {
    ...(problem !== undefined && { 'aria-invalid': true }),
    ...(texts.length > 0 && { 'aria-describedby': texts.join(' ') })
  };
}

/** The placeholder of an empty field. */
export function hint(schema: IFieldSchema, trans: TranslationBundle): string {
  const example = schema.examples?.[0];
  return schema.default ?? (example === undefined ? '' : trans.__('such as %1', example));
}

function Input(props: IFieldProps): React.JSX.Element {
  const { id, name, schema, required, value, placeholder, onChange, trans } = props;
  const common = {
    id,
    name,
    'aria-required': required,
    required: props.enforced === true && required,
    ...described(id, schema, props.problem)
  };
  const choices = schema.enum ?? (schema.type === 'boolean' ? ['true', 'false'] : null);
  if (choices) {
    return (
      <HTMLSelect
        {...common}
        value={value === undefined ? '' : String(value)}
        onChange={event => onChange(name, typed(schema, event.target.value))}
      >
        <option value="">{placeholder ?? schema.default ?? trans.__('(default)')}</option>
        {choices.map(choice => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </HTMLSelect>
    );
  }
  const numeric = schema.type === 'integer' || schema.type === 'number';
  return (
    <input
      {...common}
      className="jp-mod-styled"
      list={props.list === undefined ? undefined : `${id}-values`}
      type={numeric ? 'number' : 'text'}
      min={schema.minimum}
      step={schema.type === 'integer' ? 1 : 'any'}
      value={value === undefined ? '' : written(value)}
      placeholder={placeholder ?? hint(schema, trans)}
      spellCheck={false}
      autoComplete="off"
      onChange={event => onChange(name, typed(schema, event.target.value))}
    />
  );
}

/** Converts the input to the schema's type. */
function typed(schema: IFieldSchema, text: string): Value | undefined {
  if (text === '') {
    return undefined;
  }
  if (schema.type === 'boolean') {
    return text === 'true';
  }
  return schema.type === 'integer' || schema.type === 'number' ? Number(text) : text;
}

interface IFieldsProps {
  /** The prefix of the inputs' ids. */
  readonly id: string;
  readonly schema: IObjectSchema;
  readonly values: Params;
  /** The values that apply if a field is empty. */
  readonly defaults: Params;
  /** Asks the API for the values of one parameter. */
  readonly list: (name: string) => ReturnType<List>;
  readonly onChange: (values: Params) => void;
  readonly trans: TranslationBundle;
}

/** The fields of an object schema, without secrets. */
export function Fields(props: IFieldsProps): React.JSX.Element {
  const { id, schema, values, defaults, list, onChange, trans } = props;
  const isGiven = (name: string): boolean => (values[name] ?? defaults[name]) !== undefined;
  const change = (name: string, value: Value | undefined): void =>
    onChange(changed(values, name, value));
  return (
    <>
      {Object.entries(schema.properties)
        .filter(([, field]) => !field.writeOnly)
        .map(([name, field]) => (
          <Field
            key={name}
            id={`${id}-${name}`}
            name={name}
            schema={field}
            required={schema.required?.includes(name) === true && defaults[name] === undefined}
            value={values[name]}
            {...(defaults[name] !== undefined && { placeholder: written(defaults[name]) })}
            {...(field['x-listed-by'] && {
              list: field['x-listed-by'].every(isGiven) ? () => list(name) : null
            })}
            onChange={change}
            trans={trans}
          />
        ))}
    </>
  );
}

/** The values with another one for this name; without it if that is undefined. */
export function changed(values: Params, name: string, value: Value | undefined): Params {
  const { [name]: _, ...others } = values;
  return value === undefined ? others : { ...others, [name]: value };
}
