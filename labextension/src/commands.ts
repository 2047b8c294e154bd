import { InputDialog, Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { Actions } from './actions';
import { injectIcon, tokensIcon } from './icons';
import type { LastParams } from './lastparams';
import type { CurrentNotebook } from './notebook';
import { LOAD, magic } from './snippets';
import { NAMESPACE, type IProfile, type ITokens } from './tokens';

export const CommandIDs = {
  showPanel: `${NAMESPACE}:show-panel`,
  inject: `${NAMESPACE}:inject`,
  logIn: `${NAMESPACE}:log-in`,
  insertMagic: `${NAMESPACE}:insert-magic`,
  refreshAll: `${NAMESPACE}:refresh-all`
} as const;

const NO_ARGS = { args: { type: 'object' as const, properties: {} } };

interface ICommandsOptions {
  readonly tokens: ITokens;
  readonly actions: Actions;
  readonly lastParams: LastParams;
  readonly notebook: CurrentNotebook;
  readonly trans: TranslationBundle;
  /** Shows a profile's card, if one is named; returns false if the form hides it. */
  readonly showPanel: (profile?: string) => boolean;
}

/** Adds the commands for the palette, the menus and the notebook's toolbar. */
export function addCommands(commands: CommandRegistry, options: ICommandsOptions): void {
  const { tokens, actions, lastParams, notebook, trans, showPanel } = options;
  const profileArgs = {
    args: {
      type: 'object' as const,
      properties: {
        profile: {
          type: 'string' as const,
          description: trans.__('Name of the profile; if missing, a dialog asks for it.')
        }
      }
    }
  };
  /** Runs a command on the profile that its arguments name, or else on one that the user chooses. */
  const onProfile =
    (run: (profile: string) => Promise<unknown>, isOffered = (_: IProfile) => true) =>
    async ({ profile: given }: ReadonlyPartialJSONObject): Promise<void> => {
      const profile =
        typeof given === 'string' ? given : await chosen(tokens.profiles?.filter(isOffered), trans);
      if (profile) {
        await run(profile);
      }
    };
  /** Shows the card and runs an action, whose result is on the card; if the form hides it, notifies. */
  const onCard = async (profile: string, work: () => Promise<boolean>): Promise<void> => {
    const isShown = showPanel(profile);
    if (!isShown) {
      Notification.info(
        trans.__('The form hides the card of %1. Save or close the form to see the card.', profile)
      );
    }
    await work();
    const outcome = tokens.outcome(profile);
    if (!isShown && outcome?.kind === 'done') {
      Notification.success(outcome.text);
    } else if (!isShown && outcome?.kind === 'problem') {
      Notification.error(outcome.problem.message);
    }
  };
  commands.addCommand(CommandIDs.showPanel, {
    label: trans.__('Show Tokens'),
    describedBy: NO_ARGS,
    icon: tokensIcon,
    execute: () => void showPanel()
  });
  commands.addCommand(CommandIDs.refreshAll, {
    label: trans.__('Refresh All Tokens'),
    describedBy: NO_ARGS,
    isEnabled: () => (tokens.profiles?.length ?? 0) > 0,
    execute: () => actions.refreshAll()
  });
  commands.addCommand(CommandIDs.inject, {
    label: trans.__('Inject Token into This Notebook…'),
    caption: trans.__('Inject a token into the kernel of this notebook'),
    icon: injectIcon,
    describedBy: profileArgs,
    isEnabled: () => notebook.kernel !== null && (tokens.profiles?.length ?? 0) > 0,
    execute: onProfile(profile =>
      onCard(profile, () => actions.inject(profile, lastParams.of(profile)))
    )
  });
  commands.addCommand(CommandIDs.logIn, {
    label: trans.__('Log In for a Token…'),
    caption: trans.__('Log in to a profile as yourself'),
    describedBy: profileArgs,
    isEnabled: () => tokens.profiles?.some(logsIn) === true,
    execute: onProfile(async profile => {
      // For a profile without a login, only its card is shown.
      if (tokens.profiles?.some(one => one.name === profile && logsIn(one))) {
        await onCard(profile, () => actions.logIn(profile, lastParams.of(profile)));
      } else {
        showPanel(profile);
      }
    }, logsIn)
  });
  commands.addCommand(CommandIDs.insertMagic, {
    label: trans.__('Insert %gettoken…'),
    caption: trans.__('Insert at the cursor the magic that fetches a token'),
    describedBy: profileArgs,
    isEnabled: () => notebook.panel !== null && (tokens.profiles?.length ?? 0) > 0,
    execute: onProfile(async profile => {
      const env = actions.variables[profile];
      const line = magic(profile, lastParams.of(profile), ...(env ? ['--env', env] : []));
      // The server may have started the kernel since the last poll.
      await tokens.look();
      const isLoaded = notebook.kernel !== null && tokens.isLoadedIn(notebook.kernel.id);
      notebook.panel?.content.activeCell?.editor?.replaceSelection?.(
        isLoaded ? line : `${LOAD}\n${line}`
      );
    })
  });
  const ids = Object.values(CommandIDs);
  const enabled = new Map(ids.map(id => [id, commands.isEnabled(id)]));
  // Each notification makes the command palette lose its place.
  const look = (): void =>
    ids.forEach(id => {
      const isEnabled = commands.isEnabled(id);
      if (enabled.get(id) !== isEnabled) {
        enabled.set(id, isEnabled);
        commands.notifyCommandChanged(id);
      }
    });
  tokens.changed.connect(look);
  notebook.changed.connect(look);
}

function logsIn({ login }: IProfile): boolean {
  return login !== null;
}

async function chosen(
  profiles: ITokens['profiles'] | undefined,
  trans: TranslationBundle
): Promise<string | null> {
  const { value } = await InputDialog.getItem({
    title: trans.__('Choose a profile'),
    label: trans.__('Profile'),
    items: profiles?.map(({ name }) => name) ?? [],
    okLabel: trans.__('OK')
  });
  return value;
}
