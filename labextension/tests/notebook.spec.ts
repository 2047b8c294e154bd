import type { INotebookTracker } from '@jupyterlab/notebook';
import { PromiseDelegate } from '@lumino/coreutils';
import { Signal } from '@lumino/signaling';
import { expect, it, vi } from 'vitest';

import { CurrentNotebook } from '../src/notebook';

interface ISpec {
  readonly language: string;
}

/** A notebook with a kernel of the same name. */
function open(id: string, spec: Promise<ISpec>): object {
  return {
    context: { path: `work/${id}.ipynb`, pathChanged: new Signal({}) },
    sessionContext: { kernelChanged: new Signal({}), session: { kernel: { id, spec } } }
  };
}

it.each(['julia', null])('has no kernel of the notebook before: %s', async language => {
  const tracker = { currentWidget: open('a', Promise.resolve({ language: 'python' })) };
  const currentChanged = new Signal<object, void>(tracker);
  const notebook = new CurrentNotebook({
    ...tracker,
    currentChanged,
    get currentWidget() {
      return tracker.currentWidget;
    }
  } as unknown as INotebookTracker);
  await vi.waitFor(() => expect(notebook.kernel?.id).toBe('a'));
  const spec = new PromiseDelegate<ISpec>();
  tracker.currentWidget = open('b', spec.promise);
  currentChanged.emit();
  expect(notebook.kernel).toBeNull();
  if (language === null) {
    spec.reject(new TypeError('Failed to fetch'));
  } else {
    spec.resolve({ language });
  }
  await vi.waitFor(() =>
    expect(notebook.kernel).toEqual({ id: 'b', notebook: 'b.ipynb', language: language ?? '' })
  );
});
