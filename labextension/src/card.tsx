import type { TranslationBundle } from '@jupyterlab/translation';
import { codeIcon, copyIcon, editIcon, refreshIcon, settingsIcon } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import React from 'react';

import type { Actions } from './actions';
import { IconButton, pressed } from './button';
import { Countdown } from './countdown';
import { Fields } from './fields';
import { Handles } from './handles';
import { forgetIcon, revealIcon } from './icons';
import type { LastParams } from './lastparams';
import { LoginView, needsLogin } from './login';
import type { CurrentNotebook, IKernelFacts } from './notebook';
import { ProblemView } from './problem';
import { showValue } from './reveal';
import { REVEAL_SECONDS, type IHolding, type IProfile, type ITokens, type State } from './tokens';
import { Usage } from './usage';

/** The parts that do not change while the panel exists. */
export interface IBench {
  readonly tokens: ITokens;
  readonly notebook: CurrentNotebook;
  readonly actions: Actions;
  readonly lastParams: LastParams;
  readonly trans: TranslationBundle;
  readonly edit: (profile: string) => void;
}

interface ICardProps {
  readonly bench: IBench;
  readonly profile: IProfile;
  /** The notebooks' file names, by the id of their running kernel. */
  readonly notebooks: ReadonlyMap<string, string>;
}

/** The card of one profile. */
export function Card({ bench, profile, notebooks }: ICardProps): React.JSX.Element {
  const { tokens, notebook, actions, lastParams, trans } = bench;
  const { kernel } = notebook;
  const [open, setOpen] = React.useState(false);
  const [isUsing, setUsing] = React.useState(false);
  const [, draw] = React.useReducer((count: number) => count + 1, 0);
  const title = `jp-Tokens-card-${React.useId()}`;
  const provider = tokens.providers.find(({ id }) => id === profile.provider);
  const busy = tokens.busy(profile.name);
  const outcome = tokens.outcome(profile.name);
  const attempt = tokens.attempt(profile.name);
  const params = lastParams.of(profile.name);
  const variable = actions.variable(profile);
  const held = tokens.holdings.filter(holding => holding.profile === profile.name);
  const holders = holdersOf(held, notebooks, kernel?.id, trans);
  const problem = outcome?.kind === 'problem' ? outcome.problem : profile.error;
  return (
    <li
      className="jp-Tokens-card"
      aria-labelledby={title}
      aria-busy={busy}
      data-profile={profile.name}
      data-state={profile.state}
    >
      <div className="jp-Tokens-row">
        <h3 id={title} title={profile.name}>
          {profile.name}
        </h3>
        {profile.sandbox && (
          <span
            className="jp-Tokens-badge"
            title={trans.__('The endpoint is on this machine; nothing leaves it.')}
          >
            {trans.__('sandbox')}
          </span>
        )}
        <span className="jp-Tokens-state" data-state={profile.state}>
          {stateName(profile.state, trans)}
        </span>
      </div>
      <div className="jp-Tokens-provider" title={profile.title ?? ''}>
        {profile.title ?? profile.provider ?? trans.__('unknown provider')}
      </div>
      {profile.origin && (
        <div className="jp-Tokens-provider" title={profile.origin}>
          {trans.__('from %1', profile.origin)}
        </div>
      )}
      {(variable ?? profile.expires_at) && (
        <div className="jp-Tokens-row jp-Tokens-facts">
          {variable && (
            <code title={trans.__('Environment variable for the token')}>{variable}</code>
          )}
          {/* If the server does not answer, it may be out of date. */}
          {profile.expires_at && tokens.problem === null && (
            <Countdown expiresAt={profile.expires_at} tokens={tokens} trans={trans} />
          )}
        </div>
      )}
      {holders && (
        <div className="jp-Tokens-holders" title={trans.__('Kernels with this token: %1', holders)}>
          {trans.__('held by %1', holders)}
        </div>
      )}
      <Handles bench={bench} profile={profile.name} notebooks={notebooks} />
      <CardActions
        bench={bench}
        profile={profile}
        variable={variable}
        isHere={held.some(holding => holding.kernel_id === kernel?.id)}
        takesParams={Object.keys(provider?.params.properties ?? {}).length > 0}
        open={open}
        setOpen={setOpen}
        isUsing={isUsing}
        setUsing={setUsing}
      />
      {open && provider && (
        <div
          className="jp-Tokens-params"
          role="group"
          aria-label={trans.__('Parameters of %1', profile.name)}
        >
          <Fields
            id={title}
            schema={provider.params}
            values={params}
            defaults={profile.params}
            list={name => tokens.values(profile.name, name, params)}
            onChange={values => {
              lastParams.set(profile.name, values, provider.params);
              draw();
            }}
            trans={trans}
          />
        </div>
      )}
      {isUsing && (
        <Usage
          bench={bench}
          id={title}
          use={{
            profile,
            params,
            variable,
            language: kernel?.language ?? 'python',
            isLoaded: kernel !== null && tokens.isLoadedIn(kernel.id),
            isSeveral: (provider?.fields.length ?? 0) > 0
          }}
        />
      )}
      <div className="jp-Tokens-outcome">
        <div role="status">
          {attempt ? (
            <LoginView bench={bench} name={profile.name} attempt={attempt} />
          ) : (
            busy && <Waiting bench={bench} profile={profile} />
          )}
          {outcome && outcome.kind !== 'problem' && outcome.text}
        </div>{' '}
        {outcome?.kind === 'done' && outcome.expiresAt && (
          // Not in the status: screen readers would read it out each second.
          <Countdown expiresAt={outcome.expiresAt} tokens={tokens} trans={trans} />
        )}
      </div>
      {problem && <ProblemView problem={problem} trans={trans} />}
    </li>
  );
}

/** The notebooks whose kernels have a token, and who keeps it fresh there. */
function holdersOf(
  held: readonly IHolding[],
  notebooks: ReadonlyMap<string, string>,
  current: string | undefined,
  trans: TranslationBundle
): string {
  const place = ({ kernel_id }: IHolding): number => (kernel_id === current ? 0 : 1);
  const texts = held
    .filter(({ kernel_id }) => notebooks.has(kernel_id))
    // A long list is cut off, so the current notebook comes first.
    .sort((one, other) => place(one) - place(other))
    .map(({ kernel_id, env, kept_by }) => {
      const name = notebooks.get(kernel_id) ?? '';
      const facts = [env, kept_by && keeperName(kept_by, trans)].filter(fact => fact !== null);
      return facts.length > 0 ? `${name} (${facts.join(', ')})` : name;
    });
  return [...new Set(texts)].join(', ');
}

function keeperName(keeper: 'kernel' | 'server', trans: TranslationBundle): string {
  return keeper === 'kernel'
    ? trans.__('kept fresh by the kernel')
    : trans.__('kept fresh by the server');
}

interface ICardActionsProps {
  readonly bench: IBench;
  readonly profile: IProfile;
  /** The environment variable for the token; null if there is none. */
  readonly variable: string | null;
  /** Whether the current notebook's kernel has the token. */
  readonly isHere: boolean;
  readonly takesParams: boolean;
  readonly open: boolean;
  readonly setOpen: (open: boolean) => void;
  readonly isUsing: boolean;
  readonly setUsing: (isUsing: boolean) => void;
}

function CardActions(props: ICardActionsProps): React.JSX.Element {
  const { bench, profile, variable } = props;
  const { tokens, notebook, actions, lastParams, trans } = bench;
  const name = profile.name;
  const params = lastParams.of(name);
  const busy = tokens.busy(name);
  const held = profile.expires_at !== null || profile.has_value !== null;
  const noValue = profile.has_value === false;
  const asksForLogin = needsLogin(profile);
  const canInject = notebook.kernel !== null && variable !== null;
  const fetch = React.useRef<HTMLButtonElement>(null);
  const logIn = React.useRef<HTMLButtonElement>(null);
  // Before the focus is looked at: this may remove the value that has it.
  const [host, show, hide] = useReveal(trans, profile);
  // If this removes the button that has the focus, focus one that stays. A user who is elsewhere by
  // then is not disturbed.
  const hadFocus = fetch.current?.closest('li')?.contains(document.activeElement) === true;
  React.useLayoutEffect(() => {
    if (hadFocus && document.activeElement === document.body) {
      (logIn.current ?? fetch.current).focus();
    }
  });
  return (
    <>
      {profile.login?.logged_in && (
        <div className="jp-Tokens-row jp-Tokens-facts">
          <span title={profile.login.since ? new Date(profile.login.since).toLocaleString() : ''}>
            {profile.login.who
              ? trans.__('Logged in as %1', profile.login.who)
              : trans.__('Logged in')}
          </span>
          <button
            type="button"
            className="jp-Tokens-button"
            aria-label={trans.__('Log out of %1', name)}
            {...pressed(!busy, () => actions.logOut(name))}
          >
            {trans.__('Log out')}
          </button>
        </div>
      )}
      <div
        className="jp-Tokens-row jp-Tokens-actions"
        role="group"
        aria-label={trans.__('Actions')}
      >
        {asksForLogin && (
          <button
            ref={logIn}
            type="button"
            className="jp-Tokens-button jp-Tokens-inject"
            aria-label={trans.__('Log in to %1', name)}
            {...pressed(!busy, () => actions.logIn(name, params))}
          >
            {trans.__('Log in')}
          </button>
        )}
        {!noValue && !asksForLogin && (
          <button
            type="button"
            className="jp-Tokens-button jp-Tokens-inject"
            {...pressed(!busy && canInject, () => actions.inject(name, params))}
            aria-label={trans.__('Inject %1 into the notebook', name)}
            title={injectTitle(variable, notebook.kernel, trans)}
          >
            {trans.__('Inject')}
          </button>
        )}
        {props.isHere && (
          <button
            type="button"
            className="jp-Tokens-button"
            {...pressed(!busy, () => actions.removeFrom(name))}
            aria-label={trans.__('Remove %1 from the notebook', name)}
            title={trans.__('Remove the token from the kernel of this notebook')}
          >
            {trans.__('Remove')}
          </button>
        )}
        <button
          ref={fetch}
          type="button"
          className={held ? 'jp-Tokens-icon' : 'jp-Tokens-button'}
          {...pressed(!busy, () => {
            // From now on, Copy copies another value than the one shown.
            hide();
            return actions.fetch(name, params, held);
          })}
          aria-label={held ? trans.__('Refresh %1', name) : trans.__('Fetch %1', name)}
          title={held ? trans.__('Refresh %1', name) : ''}
        >
          {held ? <refreshIcon.react tag="span" /> : trans.__('Fetch')}
        </button>
        <span className="jp-Tokens-icons">
          {tokens.mayReveal && profile.may_reveal && held && !noValue && (
            <>
              <IconButton
                icon={revealIcon}
                label={trans.__('Reveal %1', name)}
                enabled={!busy}
                onClick={() => void actions.reveal(name, params, show)}
              />
              <IconButton
                icon={copyIcon}
                label={trans.__('Copy %1', name)}
                enabled={!busy}
                onClick={() => void actions.copy(name, params)}
              />
            </>
          )}
          {held && (
            <IconButton
              icon={forgetIcon}
              label={trans.__('Forget %1', name)}
              enabled={!busy}
              onClick={() => void actions.forget(name)}
            />
          )}
          {profile.provider !== null && (
            <IconButton
              icon={codeIcon}
              label={trans.__('Use %1', name)}
              expanded={props.isUsing}
              onClick={() => props.setUsing(!props.isUsing)}
            />
          )}
          {props.takesParams && (
            <IconButton
              icon={settingsIcon}
              label={trans.__('Parameters of %1', name)}
              expanded={props.open}
              onClick={() => props.setOpen(!props.open)}
            />
          )}
          {tokens.mayEdit && profile.origin === '' && (
            <IconButton
              icon={editIcon}
              label={trans.__('Edit %1', name)}
              onClick={() => bench.edit(name)}
            />
          )}
        </span>
      </div>
      <div ref={host} />
    </>
  );
}

function injectTitle(
  variable: string | null,
  kernel: IKernelFacts | null,
  trans: TranslationBundle
): string {
  if (variable === null) {
    return trans.__('No environment variable set');
  }
  return kernel
    ? trans.__('Set %1 in %2', variable, `${kernel.notebook} (${kernel.language})`)
    : trans.__('Open a notebook first');
}

/** Shows after one second what the card is waiting for, and a button that cancels it. */
function Waiting({ bench, profile }: Pick<ICardProps, 'bench' | 'profile'>): React.ReactNode {
  const { tokens, trans } = bench;
  const [isLong, setLong] = React.useState(false);
  React.useEffect(() => {
    const timer = setTimeout(() => setLong(true), 1000);
    return () => clearTimeout(timer);
  }, []);
  if (!isLong) {
    return null;
  }
  return (
    <div className="jp-Tokens-row">
      {trans.__('Waiting for %1…', profile.title ?? profile.name)}
      <button
        type="button"
        className="jp-Tokens-button"
        aria-label={trans.__('Cancel %1', profile.name)}
        onClick={() => tokens.cancel(profile.name)}
      >
        {trans.__('Cancel')}
      </button>
    </div>
  );
}

/** The place for a revealed value. The value is removed together with the card, and when the token changes. */
function useReveal(
  trans: TranslationBundle,
  { name, expires_at, has_value }: IProfile
): [
  React.RefObject<HTMLDivElement>,
  (value: string, expiresAt: string | null) => void,
  () => void
] {
  const host = React.useRef<HTMLDivElement>(null);
  const shown = React.useRef<IDisposable | null>(null);
  const shownUntil = React.useRef<string | null>(null);
  const hide = React.useCallback(() => shown.current?.dispose(), []);
  React.useEffect(() => hide, [hide]);
  React.useLayoutEffect(() => {
    if (!has_value || expires_at !== shownUntil.current) {
      hide();
    }
  }, [expires_at, has_value, hide]);
  const show = (value: string, expiresAt: string | null): void => {
    hide();
    shownUntil.current = expiresAt;
    if (host.current) {
      const label = trans.__('Token of %1', name);
      shown.current = showValue(host.current, value, { seconds: REVEAL_SECONDS, trans, label });
    }
  };
  return [host, show, hide];
}

function stateName(state: State, trans: TranslationBundle): string {
  const names: Record<State, string> = {
    fresh: trans.__('fresh'),
    aging: trans.__('refreshing soon'),
    expired: trans.__('expired'),
    failed: trans.__('failed'),
    none: trans.__('not fetched'),
    login: trans.__('login needed')
  };
  return names[state];
}
