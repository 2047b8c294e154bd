import type { TranslationBundle } from '@jupyterlab/translation';

/**
 * Copies a text to the system's clipboard.
 *
 * @throws Error if the browser does not allow it.
 */
export async function copyText(text: string, trans: TranslationBundle): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // This API does not work over plain http, and in some browsers works only right after a click.
    if (!copiedTheOldWay(text)) {
      throw new Error(
        trans.__('The browser does not allow this page to copy. Show the text and copy it by hand.')
      );
    }
  }
}

function copiedTheOldWay(text: string): boolean {
  let copied = false;
  const put = (event: ClipboardEvent): void => {
    event.clipboardData?.setData('text/plain', text);
    event.preventDefault();
    copied = true;
  };
  document.addEventListener('copy', put);
  try {
    // It returns true even if nothing was copied, so check whether it has read the text.
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way over plain http
    document.execCommand('copy');
  } finally {
    document.removeEventListener('copy', put);
  }
  return copied;
}
