import type { TranslationBundle } from '@jupyterlab/translation';
import { listIcon } from '@jupyterlab/ui-components';
import React from 'react';

import { IconButton } from './button';
import { ProblemView } from './problem';
import { problemOf } from './request';
import type { IListed, IProblem } from './tokens';

/** Asks an API for the values of a field. */
export type List = () => Promise<readonly IListed[]>;

interface IPickerProps {
  /** The id of the field's input. The input's `list` attribute is this id followed by `-values`. */
  readonly id: string;
  readonly label: string;
  /** Null if what the API needs for the list is missing. */
  readonly list: List | null;
  readonly trans: TranslationBundle;
  readonly children: React.ReactNode;
}

/**
 * A field with a button that asks the API for the values to choose from. No request is sent before
 * it is pressed.
 */
export function Picker({ id, label, list, trans, children }: IPickerProps): React.JSX.Element {
  // Null until the user asks, and after a problem.
  const [values, setValues] = React.useState<readonly IListed[] | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const [busy, setBusy] = React.useState(false);
  const ask = async (list: List): Promise<void> => {
    setBusy(true);
    try {
      setValues(await list());
      setProblem(null);
      // The input shows the values as the user types, or presses the down arrow.
      document.getElementById(id)?.focus();
    } catch (error) {
      setValues(null);
      setProblem(problemOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <div className="jp-Tokens-picker">
        {children}
        <IconButton
          icon={listIcon}
          label={
            list
              ? trans.__('List %1', label)
              : trans.__('To list %1, fill in the other fields', label)
          }
          enabled={list !== null && !busy}
          onClick={() => list && void ask(list)}
        />
      </div>
      <datalist id={`${id}-values`}>
        {values?.map(value => (
          <option key={value.id} value={value.id} label={`${value.id} ${value.label}`.trim()} />
        ))}
      </datalist>
      <div role="status" className="jp-Tokens-help">
        {busy
          ? trans.__('Asking the API…')
          : values && trans.__('%1 found. Type to filter, or press the down arrow.', values.length)}
      </div>
      {problem && <ProblemView problem={problem} trans={trans} />}
    </>
  );
}
