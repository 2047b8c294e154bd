import {
  addIcon,
  historyIcon,
  InputGroup,
  ReactWidget,
  refreshIcon,
  searchIcon,
  UseSignal
} from '@jupyterlab/ui-components';
import type { Session } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import React from 'react';

import { IconButton } from './button';
import { Card, type IBench } from './card';
import { History } from './history';
import { tokensIcon } from './icons';
import { ProblemView } from './problem';
import { ProfileForm } from './profileform';
import { problemOf } from './request';
import { NAMESPACE, namesOf, type IEditable, type IFound } from './tokens';

/** The number of cards that are rendered first: more than a sidebar can show. */
const FIRST = 30;

interface IPanelOptions {
  readonly sessions: Session.IManager;
  readonly bench: Omit<IBench, 'edit'>;
}

/** The panel in the sidebar: the profiles as cards, or the form of one profile. */
export class TokensPanel extends ReactWidget {
  constructor(private readonly _options: IPanelOptions) {
    super();
    const { sessions, bench } = _options;
    const { tokens, notebook, lastParams, trans } = bench;
    this.id = `${NAMESPACE}-panel`;
    this.addClass('jp-Tokens-panel');
    this.title.icon = tokensIcon;
    this.title.caption = trans.__('Tokens');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Tokens'));
    this._bench = { ...bench, edit: profile => void this.edit(profile) };
    tokens.changed.connect(this.draw, this);
    lastParams.changed.connect(this.draw, this);
    notebook.changed.connect(this._follow, this);
    sessions.runningChanged.connect(this.draw, this);
  }

  /** Renders what has changed. */
  draw(): void {
    this._drawn.emit();
  }

  /**
   * Brings a profile's card into view; leaves history and search. Returns false, and does nothing,
   * if the form holds input that is not saved.
   */
  showCard(profile: string): boolean {
    if (this._form && this._isUnsaved) {
      return false;
    }
    this._form = null;
    this._wanted = { profile };
    this._asked++;
    this.draw();
    return true;
  }

  /** Shows the form for a new profile. @param found - Its initial values. */
  add(found: IFound | null = null): void {
    this._open({ editable: null, found });
  }

  /** Shows the form for an existing profile. */
  async edit(profile: string): Promise<void> {
    const { tokens } = this._bench;
    const asked = ++this._asked;
    try {
      const editable = await tokens.editable(profile);
      if (asked === this._asked) {
        this._open({ editable, found: null });
      }
    } catch (error) {
      tokens.setOutcome(profile, { kind: 'problem', problem: problemOf(error) });
    }
  }

  protected override render(): React.JSX.Element {
    const { tokens, trans } = this._bench;
    return (
      <UseSignal signal={this._drawn}>
        {() =>
          this._form ? (
            <ProfileForm
              tokens={tokens}
              editable={this._form.editable}
              found={this._form.found}
              trans={trans}
              onChange={isUnsaved => (this._isUnsaved = isUnsaved)}
              onClose={() => this._close()}
            />
          ) : (
            <Profiles
              bench={this._bench}
              notebooks={this._notebooks()}
              wanted={this._wanted}
              onAdd={found => this.add(found)}
            />
          )
        }
      </UseSignal>
    );
  }

  protected override onActivateRequest(): void {
    this.node.querySelector<HTMLElement>('input, button')?.focus();
  }

  private _open(form: NonNullable<TokensPanel['_form']>): void {
    this._form = form;
    this._isUnsaved = false;
    this._wanted = null;
    this._asked++;
    this.draw();
  }

  /** Closes the form, and returns the focus to where it was. */
  private _close(): void {
    const edited = this._form?.editable?.name;
    this._form = null;
    this.draw();
    requestAnimationFrame(() => {
      const card = edited === undefined ? null : `[data-profile="${CSS.escape(edited)}"] button`;
      const next = card === null ? null : this.node.querySelector<HTMLElement>(card);
      (next ?? this.node.querySelector('button'))?.focus();
    });
  }

  /** The notebooks' file names, by the id of their running kernel. */
  private _notebooks(): ReadonlyMap<string, string> {
    const names = new Map<string, string>();
    for (const session of this._options.sessions.running()) {
      if (session.kernel) {
        names.set(session.kernel.id, session.path.split('/').pop() ?? session.name);
      }
    }
    return names;
  }

  /** Polls for another kernel: the server may have started it since the last poll. */
  private _follow(): void {
    this.draw();
    if (this._bench.notebook.kernel) {
      void this._bench.tokens.look();
    }
  }

  private readonly _bench: IBench;
  private readonly _drawn = new Signal<this, void>(this);
  private _form: { readonly editable: IEditable | null; readonly found: IFound | null } | null =
    null;
  private _isUnsaved = false;
  /** Counts what the user asks to see: if a form comes late, the user may be elsewhere. */
  private _asked = 0;
  /** The card that was last to be shown; another object each time. */
  private _wanted: { readonly profile: string } | null = null;
}

interface IProfilesProps {
  readonly bench: IBench;
  readonly notebooks: ReadonlyMap<string, string>;
  /** A card to bring into view; null for none. */
  readonly wanted: { readonly profile: string } | null;
  /** @param found - The initial values of the new profile. */
  readonly onAdd: (found: IFound | null) => void;
}

function Profiles(props: IProfilesProps): React.JSX.Element {
  const { bench, notebooks, wanted, onAdd } = props;
  const { tokens, notebook, actions, lastParams, trans } = bench;
  // Before, a click would use none of the saved parameters.
  const profiles = lastParams.isReady ? tokens.profiles : null;
  const { kernel, name: open } = notebook;
  const [query, setQuery] = React.useState('');
  const [isHistory, setHistory] = React.useState(false);
  // Whether all cards are rendered: the rest follows when the page is idle.
  const [whole, setWhole] = React.useState(false);
  const [brought, setBrought] = React.useState<typeof wanted>(null);
  if (brought !== wanted) {
    setBrought(wanted);
    setQuery('');
    setHistory(false);
    setWhole(true);
  }
  const list = React.useRef<HTMLUListElement>(null);
  React.useEffect(() => {
    if (brought) {
      const card = list.current?.querySelector(`[data-profile="${CSS.escape(brought.profile)}"]`);
      card?.scrollIntoView({ block: 'nearest' });
      // The form that was left may have had the focus.
      if (document.activeElement === document.body) {
        card?.querySelector('button')?.focus();
      }
    }
  }, [brought]);
  const typed = query.trim().toLowerCase();
  const found = profiles?.filter(({ name, title, env }) =>
    `${name} ${title ?? ''} ${env === null ? '' : namesOf(env)}`.toLowerCase().includes(typed)
  );
  const drawn = profiles !== null;
  React.useEffect(() => {
    if (drawn) {
      React.startTransition(() => setWhole(true));
    }
  }, [drawn]);
  const cards = (
    <>
      {profiles !== null && profiles.length > 0 && (
        <InputGroup
          type="search"
          className="jp-Tokens-search"
          rightIcon={searchIcon}
          aria-label={trans.__('Search profiles')}
          placeholder={trans.__('Search profiles')}
          value={query}
          onChange={event => setQuery(event.target.value)}
        />
      )}
      <div className="jp-Tokens-target">
        {kernel ? (
          <>
            {trans.__('Inject into')} <strong>{kernel.notebook}</strong>
            <span className="jp-Tokens-badge">{kernel.language}</span>
          </>
        ) : open ? (
          trans.__('%1 has no running kernel.', open)
        ) : (
          trans.__('Open a notebook to inject a token into its kernel.')
        )}
      </div>
      {tokens.problem && <ProblemView problem={tokens.problem} trans={trans} />}
      {tokens.serviceProblem && <ProblemView problem={tokens.serviceProblem} trans={trans} />}
      {profiles === null && !tokens.problem && (
        <p className="jp-Tokens-hint" role="status">
          {trans.__('Loading the profiles…')}
        </p>
      )}
      {profiles?.length === 0 && <Empty bench={bench} onAdd={onAdd} />}
      {typed && found?.length === 0 && (
        <p className="jp-Tokens-hint" role="status">
          {trans.__('No profile matches “%1”.', query.trim())}
        </p>
      )}
      <ul ref={list} className="jp-Tokens-cards" aria-label={trans.__('Profiles')}>
        {(whole ? found : found?.slice(0, FIRST))?.map(profile => (
          <Card key={profile.name} bench={bench} profile={profile} notebooks={notebooks} />
        ))}
      </ul>
    </>
  );
  return (
    <>
      <div className="jp-Tokens-header">
        <h2>{trans.__('Tokens')}</h2>
        <IconButton
          icon={refreshIcon}
          label={trans.__('Refresh all tokens')}
          enabled={(profiles?.length ?? 0) > 0}
          onClick={() => void actions.refreshAll()}
        />
        <IconButton
          icon={historyIcon}
          label={trans.__('History')}
          expanded={isHistory}
          onClick={() => setHistory(!isHistory)}
        />
        {tokens.mayEdit && (
          <IconButton
            icon={addIcon}
            label={trans.__('Add a profile')}
            onClick={() => onAdd(null)}
          />
        )}
      </div>
      {isHistory ? (
        <History tokens={tokens} happened={tokens.happened} notebooks={notebooks} trans={trans} />
      ) : (
        cards
      )}
    </>
  );
}

/** Commands for the terminal; not translated. */
const DEMO = 'jupyter tokens demo';
const ADD = 'jupyter tokens add NAME';

/**
 * Offers the ways to a first profile: add one, import a credential of the server's user, or run the
 * demo.
 */
function Empty({ bench, onAdd }: Pick<IProfilesProps, 'bench' | 'onAdd'>): React.JSX.Element {
  const { tokens, trans } = bench;
  const { mayEdit } = tokens;
  const [found, setFound] = React.useState<readonly IFound[]>([]);
  React.useEffect(() => {
    if (mayEdit) {
      // If this fails, the user can still add a profile.
      tokens.importable().then(setFound, () => undefined);
    }
  }, [tokens, mayEdit]);
  return (
    <div className="jp-Tokens-empty">
      <tokensIcon.react tag="span" className="jp-Tokens-emptyIcon" />
      <h3>{trans.__('No profiles yet')}</h3>
      <p>{trans.__('A profile names an API and your credential for it.')}</p>
      {mayEdit ? (
        <button
          type="button"
          className="jp-Tokens-button jp-Tokens-inject"
          onClick={() => onAdd(null)}
        >
          {trans.__('Add a profile')}
        </button>
      ) : (
        <>
          <p>{trans.__('For your own account, type in a terminal:')}</p>
          <pre tabIndex={0}>{ADD}</pre>
        </>
      )}
      {found.length > 0 && (
        <>
          <p>{trans.__('Or use a credential that this server already has:')}</p>
          <ul className="jp-Tokens-found" aria-label={trans.__('Import')}>
            {found.map(one => (
              <li key={one.title}>
                <button
                  type="button"
                  className="jp-Tokens-button"
                  aria-label={trans.__('Import %1', one.title)}
                  onClick={() => onAdd(one)}
                >
                  {one.title}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      <p>{trans.__('To try the demo, which needs no account, type in a terminal:')}</p>
      <pre tabIndex={0}>{DEMO}</pre>
    </div>
  );
}
