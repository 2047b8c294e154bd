import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { IProblem } from './tokens';

/** What the user can do, if the server's message does not say so. */
function advice(problem: IProblem, trans: TranslationBundle): string | null {
  switch (problem.reason) {
    case 'forbidden':
      return trans.__('Ask the owner of the account for the permission in the message.');
    case 'limited':
      return trans.__('Open a notebook that the profile allows, or change the profile.');
    case 'absent':
      return trans.__('Install jupyter_tokens where the server runs, and restart the server.');
    case 'unreachable':
      return trans.__('The panel keeps trying. Start the server if it was stopped.');
    default:
      return problem.retryable ? trans.__('Try again in a moment.') : null;
  }
}

interface IProblemViewProps {
  readonly problem: IProblem;
  readonly trans: TranslationBundle;
}

/** What was wrong, the vendor's code and request id, what to do. */
export function ProblemView({ problem, trans }: IProblemViewProps): React.JSX.Element {
  const todo = advice(problem, trans);
  return (
    <div className="jp-Tokens-problem" role="alert">
      <p>{problem.message}</p>
      {todo && <p>{todo}</p>}
      {(problem.code ?? problem.request_id) && (
        <dl>
          {problem.code && (
            <div>
              <dt>{trans.__('Code')}</dt>
              <dd>{problem.code}</dd>
            </div>
          )}
          {problem.request_id && (
            <div>
              <dt>{trans.__('Request id')}</dt>
              <dd>{problem.request_id}</dd>
            </div>
          )}
        </dl>
      )}
    </div>
  );
}
