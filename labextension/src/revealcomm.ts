import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { copyText } from './clipboard';
import { problemOf } from './request';
import { showValue } from './reveal';
import { REVEAL_SECONDS } from './tokens';

/** The comm target that the widgets of a kernel open; docs/widgets.md describes its messages. */
export const TARGET = 'jupyter_tokens.reveal';

interface IWish {
  readonly profile: string;
  readonly action: 'show' | 'copy';
  readonly seconds: number;
}

/** Shows or copies values for the kernels of all notebooks, without storing them in a widget's state. */
export function registerReveal(tracker: INotebookTracker, trans: TranslationBundle): void {
  const watch = (panel: NotebookPanel): void => {
    const { sessionContext } = panel;
    const register = (kernel: Kernel.IKernelConnection | null | undefined): void =>
      kernel?.registerCommTarget(TARGET, (comm, opened) => answer(panel, comm, opened, trans));
    register(sessionContext.session?.kernel);
    sessionContext.kernelChanged.connect((_, { newValue }) => register(newValue));
  };
  tracker.forEach(watch);
  tracker.widgetAdded.connect((_, panel) => watch(panel));
}

function answer(
  panel: NotebookPanel,
  comm: Kernel.IComm,
  opened: KernelMessage.ICommOpenMsg,
  trans: TranslationBundle
): void {
  const wish = wishOf(opened.content.data);
  if (!wish) {
    comm.close({ error: 'The request has no profile, or an unknown action.' });
    return;
  }
  comm.onMsg = message => {
    const { value } = message.content.data;
    if (typeof value === 'string') {
      void fulfil(panel, wish, value, trans).then(done => comm.close(done));
    }
  };
  comm.send({ ready: true });
}

/** Shows or copies a value; returns the reply to the kernel. */
async function fulfil(
  panel: NotebookPanel,
  wish: IWish,
  value: string,
  trans: TranslationBundle
): Promise<{ shown: true } | { error: string }> {
  if (wish.action === 'copy') {
    try {
      await copyText(value, trans);
      return { shown: true };
    } catch (error) {
      return { error: problemOf(error).message };
    }
  }
  const host = document.createElement('div');
  host.className = 'jp-Tokens-overlay';
  panel.node.append(host);
  const label = trans.__('Token of %1', wish.profile);
  const shown = showValue(host, value, {
    seconds: wish.seconds,
    trans,
    label,
    onEnd: () => host.remove()
  });
  panel.disposed.connect(() => shown.dispose());
  return { shown: true };
}

function wishOf(data: unknown): IWish | null {
  const { profile, action, seconds } = (data ?? {}) as Partial<Record<keyof IWish, unknown>>;
  if (typeof profile !== 'string' || (action !== 'show' && action !== 'copy')) {
    return null;
  }
  const wanted = typeof seconds === 'number' && seconds > 0 ? seconds : REVEAL_SECONDS;
  return { profile, action, seconds: Math.min(wanted, REVEAL_SECONDS) };
}
