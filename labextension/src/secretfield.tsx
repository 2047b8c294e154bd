import type { TranslationBundle } from '@jupyterlab/translation';
import { HTMLSelect } from '@jupyterlab/ui-components';
import React from 'react';

import { described, FieldFrame, hint } from './fields';
import type { IFieldSchema, Store } from './tokens';

/** Where the server stores a secret; a reference points to a secret that is stored elsewhere. */
export type Keeping = Store | 'reference';

interface ISecretFieldProps {
  readonly id: string;
  readonly name: string;
  readonly schema: IFieldSchema;
  readonly required: boolean;
  /** Whether the server already has a secret; an empty field keeps it. */
  readonly stored: boolean;
  readonly keeping: Keeping;
  /** Where the server can store secrets. */
  readonly stores: readonly Store[];
  /** The initial reference of a new profile. */
  readonly reference: string | undefined;
  /** What is wrong with it. */
  readonly problem: string | undefined;
  readonly onKeeping: (name: string, keeping: Keeping) => void;
  readonly trans: TranslationBundle;
}

/**
 * The input for a secret. The typed value stays in the input until it is sent, and is never in
 * React's state.
 */
export function SecretField(props: ISecretFieldProps): React.JSX.Element {
  const { id, name, schema, required, stored, keeping, stores, onKeeping, problem, trans } = props;
  return (
    <FieldFrame {...props}>
      <input
        id={id}
        name={name}
        className="jp-mod-styled"
        data-secret="true"
        type={keeping === 'reference' ? 'text' : 'password'}
        required={required && !stored}
        aria-required={required}
        placeholder={stored ? trans.__('stored; leave empty to keep it') : hint(schema, trans)}
        autoComplete="new-password"
        spellCheck={false}
        defaultValue={props.reference}
        {...described(id, schema, problem)}
      />
      <HTMLSelect
        aria-label={trans.__('Where to store %1', schema.title ?? name)}
        value={keeping}
        onChange={event => onKeeping(name, event.target.value as Keeping)}
      >
        {stores.map(store => (
          <option key={store} value={store}>
            {store === 'keyring'
              ? trans.__("store in the server's keyring")
              : trans.__('store in a file that only you can read')}
          </option>
        ))}
        <option value="reference">{trans.__('reference: keyring:, file: or env:')}</option>
      </HTMLSelect>
    </FieldFrame>
  );
}
