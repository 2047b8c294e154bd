import React from 'react';

import type { IBench } from './card';
import type { ILoginAttempt, IProfile } from './tokens';

/** Whether the user has to log in before a token can be fetched. */
export function needsLogin({ login, state }: IProfile): boolean {
  return login !== null && (!login.logged_in || state === 'login');
}

interface ILoginViewProps {
  readonly bench: IBench;
  /** The profile. */
  readonly name: string;
  readonly attempt: ILoginAttempt;
}

/**
 * What the user has to do to log in: on a page of this browser, or with a code on another device.
 */
export function LoginView({ bench, name, attempt }: ILoginViewProps): React.JSX.Element {
  const { tokens, actions, trans } = bench;
  const { url, user_code, verification_uri, verification_uri_complete } = attempt;
  return (
    <div className="jp-Tokens-login">
      {user_code !== null && verification_uri !== null ? (
        <>
          <p>{trans.__('On this or another device, open')}</p>
          <p>
            <Outside href={verification_uri_complete ?? verification_uri}>
              {verification_uri}
            </Outside>
          </p>
          <div className="jp-Tokens-row">
            {trans.__('and enter the code')}
            <code>{user_code}</code>
            <button
              type="button"
              className="jp-Tokens-button"
              aria-label={trans.__('Copy the code to log in to %1', name)}
              onClick={() => void actions.copyPlain(name, user_code)}
            >
              {trans.__('Copy')}
            </button>
          </div>
        </>
      ) : (
        <p>
          {trans.__('Log in on the page that has opened.')}{' '}
          {url !== null && <Outside href={url}>{trans.__('Open it again')}</Outside>}
        </p>
      )}
      <div className="jp-Tokens-row">
        {trans.__('Waiting for the login…')}
        <button
          type="button"
          className="jp-Tokens-button"
          aria-label={trans.__('Cancel the login to %1', name)}
          onClick={() => tokens.cancel(name)}
        >
          {trans.__('Cancel')}
        </button>
      </div>
    </div>
  );
}

/** A link to another site, without a referrer. */
function Outside(props: { readonly href: string; readonly children: string }): React.JSX.Element {
  return (
    <a href={props.href} target="_blank" rel="noopener noreferrer">
      {props.children}
    </a>
  );
}
