import { HTMLSelect } from '@jupyterlab/ui-components';
import React from 'react';

import { pressed } from './button';
import type { IBench } from './card';
import { snippets, type IUse } from './snippets';

interface IUsageProps {
  readonly bench: IBench;
  readonly id: string;
  readonly use: IUse;
}

/** Ready-made code that uses a profile's token: to insert as a cell, or to copy. */
export function Usage({ bench, id, use }: IUsageProps): React.JSX.Element {
  const { notebook, actions, trans } = bench;
  const hasNotebook = notebook.panel !== null;
  const name = use.profile.name;
  const ways = snippets(use);
  const [wanted, setWanted] = React.useState('');
  const way = ways.find(one => one.id === wanted) ?? ways[0];
  return (
    <div className="jp-Tokens-params" role="group" aria-label={trans.__('Use %1', name)}>
      {way === undefined ? (
        <p>{trans.__('Set an environment variable for this profile, then inject its token.')}</p>
      ) : (
        <>
          <div className="jp-Tokens-field">
            <label htmlFor={`${id}-way`}>{trans.__('Use it with')}</label>
            <HTMLSelect
              id={`${id}-way`}
              value={way.id}
              onChange={event => setWanted(event.target.value)}
            >
              {ways.map(one => (
                <option key={one.id} value={one.id}>
                  {one.name}
                </option>
              ))}
            </HTMLSelect>
          </div>
          <pre className="jp-Tokens-code" tabIndex={0} aria-label={trans.__('Code for %1', name)}>
            {way.code}
          </pre>
          <div className="jp-Tokens-row">
            <button
              type="button"
              className="jp-Tokens-button"
              aria-label={trans.__('Insert a cell for %1', name)}
              title={
                way.isCell
                  ? hasNotebook
                    ? ''
                    : trans.__('Open a notebook first')
                  : trans.__('This is for a terminal')
              }
              {...pressed(way.isCell && hasNotebook, () => actions.insert(name, way.code))}
            >
              {trans.__('Insert a cell')}
            </button>
            <button
              type="button"
              className="jp-Tokens-button"
              aria-label={trans.__('Copy the code for %1', name)}
              {...pressed(true, () => actions.copyPlain(name, way.code))}
            >
              {trans.__('Copy')}
            </button>
          </div>
        </>
      )}
    </div>
  );
}
