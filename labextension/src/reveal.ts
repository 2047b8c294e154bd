import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import type { TranslationBundle } from '@jupyterlab/translation';

interface IRevealOptions {
  /** Seconds until it is hidden again. */
  readonly seconds: number;
  readonly trans: TranslationBundle;
  /** The label for screen readers. */
  readonly label: string;
  /** Called when the value is hidden, for any reason. */
  readonly onEnd?: () => void;
}

/**
 * Shows a value in a separate element. It is removed from the page when the time is up, the user
 * hides it, the page is hidden, or the returned object is disposed of. It is kept nowhere else. The
 * focus then returns from it to where it was.
 */
export function showValue(host: HTMLElement, value: string, options: IRevealOptions): IDisposable {
  const { seconds, trans, label } = options;
  const before = document.activeElement;
  const shown = document.createElement('div');
  shown.className = 'jp-Tokens-value';
  shown.setAttribute('role', 'group');
  shown.setAttribute('aria-label', label);

  const text = document.createElement('code');
  text.textContent = value;
  text.tabIndex = 0;

  const hide = document.createElement('button');
  hide.type = 'button';
  hide.className = 'jp-Tokens-button jp-Tokens-hide';
  hide.textContent = trans.__('Hide');

  const bar = document.createElement('div');
  bar.className = 'jp-Tokens-timeLeft';
  bar.style.animationDuration = `${seconds}s`;

  const timer = setTimeout(() => taken.dispose(), seconds * 1000);
  const onHidden = (): void => {
    if (document.hidden) {
      taken.dispose();
    }
  };
  const taken = new DisposableDelegate(() => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', onHidden);
    // Other references to the element then hold no value.
    text.textContent = '';
    const hadFocus = shown.contains(document.activeElement);
    shown.remove();
    if (hadFocus && before instanceof HTMLElement) {
      before.focus();
    }
    options.onEnd?.();
  });
  hide.addEventListener('click', () => taken.dispose());
  document.addEventListener('visibilitychange', onHidden);

  shown.append(text, hide, bar);
  host.replaceChildren(shown);
  onHidden();
  return taken;
}
