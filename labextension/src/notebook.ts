import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

/** A kernel to inject into. */
export interface IKernelFacts {
  readonly id: string;
  /** The notebook's file name. */
  readonly notebook: string;
  /** As the kernelspec writes it, such as `python`, `R`, `julia`. */
  readonly language: string;
}

/** The kernel of the current notebook; null if there is no kernel or no notebook. */
export class CurrentNotebook {
  /** @param _tracker - Null in an application without notebooks. */
  constructor(private readonly _tracker: INotebookTracker | null) {
    _tracker?.currentChanged.connect(this._follow, this);
    this._follow();
  }

  readonly changed = new Signal<this, void>(this);
  kernel: IKernelFacts | null = null;

  /** The current notebook; null if there is none. */
  get panel(): NotebookPanel | null {
    return this._tracker?.currentWidget ?? null;
  }

  /** The notebook's file name; empty if no notebook is open. */
  get name(): string {
    return this.panel?.context.path.split('/').pop() ?? '';
  }

  /**
   * Inserts code in a cell below the active one, or in the active one if it is empty, and focuses
   * the notebook.
   */
  insert(code: string): void {
    const notebook = this.panel?.content;
    const active = notebook?.activeCell?.model;
    if (active?.type === 'code' && active.sharedModel.getSource() === '') {
      active.sharedModel.setSource(code);
    } else if (notebook?.model) {
      const index = notebook.activeCellIndex + 1;
      notebook.model.sharedModel.insertCell(index, { cell_type: 'code', source: code });
      notebook.activeCellIndex = index;
    }
    notebook?.activate();
  }

  private _follow(): void {
    this._followed?.sessionContext.kernelChanged.disconnect(this._look, this);
    this._followed?.context.pathChanged.disconnect(this._look, this);
    this._followed = this.panel;
    this._followed?.sessionContext.kernelChanged.connect(this._look, this);
    this._followed?.context.pathChanged.connect(this._look, this);
    this._look();
  }

  private _look(): void {
    const panel = this._followed;
    const kernel = panel?.sessionContext.session?.kernel ?? null;
    if (kernel === null || kernel.id !== this.kernel?.id) {
      // Until its language is known, nothing is injected, least of all into the previous kernel.
      this._set(null);
    }
    if (panel && kernel) {
      void this._describe(panel, kernel);
    }
  }

  private async _describe(panel: NotebookPanel, kernel: Kernel.IKernelConnection): Promise<void> {
    const spec = await kernel.spec.catch(() => undefined);
    if (panel === this._followed && kernel.id === panel.sessionContext.session?.kernel?.id) {
      const notebook = panel.context.path.split('/').pop() ?? '';
      this._set({ id: kernel.id, notebook, language: spec?.language ?? '' });
    }
  }

  private _set(kernel: IKernelFacts | null): void {
    this.kernel = kernel;
    this.changed.emit();
  }

  private _followed: NotebookPanel | null = null;
}
