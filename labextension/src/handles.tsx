import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { agreed, pressed } from './button';
import type { IBench } from './card';
import { Countdown } from './countdown';
import { written, type IHandle } from './tokens';

interface IHandlesProps {
  readonly bench: IBench;
  readonly profile: string;
  /** The notebooks of the running kernels. */
  readonly notebooks: ReadonlyMap<string, string>;
}

/** The handles with which workers get tokens of a profile, each with a button that revokes it. */
export function Handles({ bench, profile, notebooks }: IHandlesProps): React.ReactNode {
  const { actions, tokens, trans } = bench;
  const handles = tokens.handles.filter(handle => handle.profile === profile);
  const revoke = async (id: string): Promise<void> => {
    const isAgreed = await agreed(
      trans.__('Revoke the handle for %1?', profile),
      trans.__(
        'Its workers get no further tokens. Tokens that they have stay valid until they expire.'
      ),
      trans.__('Revoke'),
      trans
    );
    if (isAgreed) {
      await actions.revoke(profile, id);
    }
  };
  return handles.length === 0 ? null : (
    <ul className="jp-Tokens-handles" aria-label={trans.__('Handles of %1', profile)}>
      {handles.map(handle => (
        <li key={handle.id} className="jp-Tokens-row" title={trans.__('Handle %1', handle.id)}>
          <span>{facts(handle, notebooks, trans)}</span>
          <Countdown expiresAt={handle.lease_ends_at} tokens={tokens} trans={trans} />
          <button
            type="button"
            className="jp-Tokens-button"
            aria-label={trans.__('Revoke %1, handle %2', profile, handle.id.slice(0, 8))}
            {...pressed(!tokens.busy(profile), () => revoke(handle.id))}
          >
            {trans.__('Revoke')}
          </button>
        </li>
      ))}
    </ul>
  );
}

function facts(
  { owner, params, uses }: IHandle,
  notebooks: ReadonlyMap<string, string>,
  trans: TranslationBundle
): string {
  const notebook = notebooks.get(owner.replace(/^kernel /, ''));
  const calls = Object.entries(params).map(([name, value]) => `${name}=${written(value)}`);
  return [
    notebook ? trans.__('workers of %1', notebook) : trans.__('workers'),
    ...calls,
    uses === 0 ? trans.__('not used yet') : trans.__('used %1×', uses)
  ].join(', ');
}
