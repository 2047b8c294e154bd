import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';

import { Actions } from './actions';
import { addCommands, CommandIDs } from './commands';
import { LastParams } from './lastparams';
import { TokensModel } from './model';
import { CurrentNotebook } from './notebook';
import { Notices, noticeSaves } from './notices';
import { TokensPanel } from './panel';
import { registerReveal } from './revealcomm';
import { StatusItem } from './statusitem';
import { ITokens, NAMESPACE, PLUGIN_ID } from './tokens';

const load = (translator: ITranslator | null): TranslationBundle =>
  (translator ?? nullTranslator).load('jupyter_tokens');

/** What the user can set, as in schema/plugin.json. */
interface ISettings {
  /** The environment variable for each profile, by the profile's name. */
  readonly variables: Readonly<Record<string, string>>;
  /** Seconds between two polls of the profiles. */
  readonly pollSeconds: number;
  /** Notify this many seconds before a token expires that nothing renews; 0 for never. */
  readonly notifyBeforeExpiry: number;
  readonly notifyFailures: boolean;
}

const DEFAULTS: ISettings = {
  variables: {},
  pollSeconds: 15,
  notifyBeforeExpiry: 120,
  notifyFailures: true
};

/** Calls back with the settings, now and after each change; with the defaults if there is no settings registry. */
async function followSettings(
  registry: ISettingRegistry | null,
  take: (settings: ISettings) => void
): Promise<void> {
  const loaded = await registry?.load(PLUGIN_ID);
  const tell = (): void => take({ ...DEFAULTS, ...(loaded?.composite as Partial<ISettings>) });
  loaded?.changed.connect(tell);
  tell();
}

/** Polls the profiles. */
const model: JupyterFrontEndPlugin<ITokens> = {
  id: `${NAMESPACE}:model`,
  description: "Polls the server's token profiles.",
  autoStart: true,
  provides: ITokens,
  optional: [ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ) => {
    const { serverSettings } = app.serviceManager;
    const tokens = new TokensModel(serverSettings, load(translator), DEFAULTS.pollSeconds);
    void followSettings(settings, ({ pollSeconds }) => {
      tokens.pollSeconds = pollSeconds;
    });
    tokens.follow(app.serviceManager.events);
    void app.started.then(() => tokens.start());
    return tokens;
  }
};

/** The panel and its commands. */
const panel: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'The tokens panel and its commands.',
  autoStart: true,
  requires: [ITokens],
  optional: [
    INotebookTracker,
    ITranslator,
    ISettingRegistry,
    IStateDB,
    ICommandPalette,
    ILayoutRestorer
  ],
  activate: (
    app: JupyterFrontEnd,
    tokens: ITokens,
    tracker: INotebookTracker | null,
    translator: ITranslator | null,
    settings: ISettingRegistry | null,
    state: IStateDB | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ) => {
    const trans = load(translator);
    const notebook = new CurrentNotebook(tracker);
    const actions = new Actions(tokens, notebook, trans);
    const lastParams = new LastParams(state);
    void lastParams.restore();
    const widget = new TokensPanel({
      sessions: app.serviceManager.sessions,
      bench: { tokens, notebook, actions, lastParams, trans }
    });
    app.shell.add(widget, 'right', { rank: 900 });
    restorer?.add(widget, widget.id);
    const showPanel = (profile?: string): boolean => {
      app.shell.activateById(widget.id);
      return profile === undefined || widget.showCard(profile);
    };
    addCommands(app.commands, { tokens, actions, lastParams, notebook, trans, showPanel });
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category: trans.__('Tokens') });
    }
    // Not awaited, like lastParams.restore(): what they read may only be available after all
    // plugins have started.
    void followSettings(settings, ({ variables }) => {
      actions.variables = variables;
      widget.draw();
    });
  }
};

/** The status bar item. */
const status: JupyterFrontEndPlugin<void> = {
  id: `${NAMESPACE}:status`,
  description: "Shows in the status bar when the next token in the notebook's kernel expires.",
  autoStart: true,
  requires: [ITokens],
  optional: [IStatusBar, INotebookTracker, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    tokens: ITokens,
    statusBar: IStatusBar | null,
    tracker: INotebookTracker | null,
    translator: ITranslator | null
  ) => {
    if (statusBar) {
      const show = (): void => void app.commands.execute(CommandIDs.showPanel);
      const item = new StatusItem(tokens, new CurrentNotebook(tracker), load(translator), show);
      statusBar.registerStatusItem(`${NAMESPACE}:status`, {
        item,
        align: 'left',
        rank: 50,
        isActive: () => item.isActive,
        activeStateChanged: item.changed
      });
    }
  }
};

/** Notifications about failed refreshes, expiring tokens and tokens in saved notebooks. */
const notices: JupyterFrontEndPlugin<void> = {
  id: `${NAMESPACE}:notices`,
  description:
    'Notifies when a token could not be refreshed, is about to expire, or is in a saved notebook.',
  autoStart: true,
  requires: [ITokens],
  optional: [ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    tokens: ITokens,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ) => {
    const show = (): void => void app.commands.execute(CommandIDs.showPanel);
    const told = new Notices(tokens, load(translator), show);
    noticeSaves(app.serviceManager.events, load(translator));
    void followSettings(settings, ({ notifyBeforeExpiry, notifyFailures }) => {
      told.beforeExpiry = notifyBeforeExpiry;
      told.failures = notifyFailures;
    });
  }
};

/** Shows or copies values for the widgets of a kernel. */
const reveal: JupyterFrontEndPlugin<void> = {
  id: `${NAMESPACE}:reveal`,
  description: 'Shows or copies a value for the widgets of a kernel, without saving it.',
  autoStart: true,
  optional: [INotebookTracker, ITranslator],
  activate: (
    _: JupyterFrontEnd,
    tracker: INotebookTracker | null,
    translator: ITranslator | null
  ) => {
    if (tracker) {
      registerReveal(tracker, load(translator));
    }
  }
};

export default [model, panel, status, notices, reveal];
export { ITokens };
