import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { ProblemView } from './problem';
import { problemOf } from './request';
import type { IHistoryEntry, IProblem, ITokens } from './tokens';

interface IHistoryProps {
  readonly tokens: ITokens;
  /** Grows with the server's events: the list is then fetched again. */
  readonly happened: number;
  /** The notebooks of the running kernels. */
  readonly notebooks: ReadonlyMap<string, string>;
  readonly trans: TranslationBundle;
}

/** Who got which token, when and where, the newest first. */
export function History({ tokens, happened, notebooks, trans }: IHistoryProps): React.JSX.Element {
  const [entries, setEntries] = React.useState<readonly IHistoryEntry[] | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  React.useEffect(() => {
    let isWanted = true;
    tokens.history().then(
      found => {
        if (isWanted) {
          setEntries(found);
          setProblem(null);
        }
      },
      (error: unknown) => isWanted && setProblem(problemOf(error))
    );
    return () => {
      isWanted = false;
    };
  }, [tokens, happened]);
  return (
    <>
      {problem && <ProblemView problem={problem} trans={trans} />}
      {entries?.length === 0 && (
        <p className="jp-Tokens-hint" role="status">
          {trans.__('Nothing has happened since the server started.')}
        </p>
      )}
      <ol className="jp-Tokens-history" aria-label={trans.__('History')}>
        {entries?.map((entry, index) => (
          <li key={entries.length - index}>
            <time dateTime={entry.at} title={new Date(entry.at).toLocaleString()}>
              {when(new Date(entry.at))}
            </time>
            <span>
              {entry.profile && (
                <>
                  <strong>{entry.profile}</strong>{' '}
                </>
              )}
              {[what(entry, notebooks, trans), who(entry, trans)].join(' ').trim()}
            </span>
          </li>
        ))}
      </ol>
    </>
  );
}

/** The time, with the date if that is not today. */
function when(moment: Date): string {
  const isToday = moment.toDateString() === new Date().toDateString();
  return isToday ? moment.toLocaleTimeString() : moment.toLocaleString();
}

function what(
  { kind, kernel_id, to, reason, what: done }: IHistoryEntry,
  notebooks: ReadonlyMap<string, string>,
  trans: TranslationBundle
): string {
  const notebook = notebooks.get(kernel_id ?? '') ?? trans.__('a kernel that has ended');
  switch (kind) {
    case 'fetched':
      return trans.__('fetched from its API');
    case 'served':
      return served(to, notebook, trans);
    case 'revealed':
      return trans.__('revealed in a browser');
    case 'injected':
      return trans.__('injected into %1', notebook);
    case 'forgotten':
      return kernel_id === null
        ? trans.__('removed from the server')
        : trans.__('removed from %1', notebook);
    case 'login':
      return done === 'in' ? trans.__('logged in') : trans.__('logged out');
    case 'handle':
      return done === 'issued'
        ? trans.__('handle issued for a worker')
        : trans.__('handle of a worker revoked');
    case 'refused':
      return trans.__('refused: %1', reason ?? '');
    case 'failed':
      return trans.__('could not be fetched: %1', reason ?? '');
  }
}

function served(to: IHistoryEntry['to'], notebook: string, trans: TranslationBundle): string {
  switch (to) {
    case 'kernel':
      return trans.__('given to %1', notebook);
    case 'sdk':
      return trans.__('given to an SDK in %1', notebook);
    case 'worker':
      return trans.__('given to a worker');
    default:
      return trans.__('used through the proxy');
  }
}

/** Who did it. Users who log in with the server's token have a random name, which is not shown. */
function who({ user }: IHistoryEntry, trans: TranslationBundle): string {
  return user === null || /^[0-9a-f]{32}$/.test(user) ? '' : trans.__('by %1', user);
}
