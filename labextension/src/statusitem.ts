import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import { left } from './countdown';
import type { CurrentNotebook } from './notebook';
import type { IHolding, ITokens } from './tokens';

/** The status bar item: the time until the next token in the current notebook's kernel expires. */
export class StatusItem extends Widget {
  constructor(
    private readonly _tokens: ITokens,
    private readonly _notebook: CurrentNotebook,
    private readonly _trans: TranslationBundle,
    show: () => void
  ) {
    const node = document.createElement('button');
    node.type = 'button';
    super({ node });
    this.addClass('jp-Tokens-status');
    node.addEventListener('click', show);
    _tokens.changed.connect(this._look, this);
    _notebook.changed.connect(this._look, this);
    setInterval(() => this._tell(), 1000);
    this._look();
  }

  /** Emitted when the item appears or disappears. */
  readonly changed = new Signal<this, void>(this);

  /** Whether the kernel has a token that expires. */
  get isActive(): boolean {
    return this._next !== null;
  }

  private _look(): void {
    const kernel = this._notebook.kernel?.id;
    const next = this._tokens.holdings
      .filter(holding => holding.kernel_id === kernel && holding.expires_at !== null)
      .sort((one, other) => end(one) - end(other));
    const before = this.isActive;
    this._next = next[0] ?? null;
    this._tell();
    if (this.isActive !== before) {
      this.changed.emit();
    }
  }

  private _tell(): void {
    if (!this._next) {
      this.node.textContent = '';
      return;
    }
    const { profile, env } = this._next;
    const rest = left(end(this._next) - this._tokens.now());
    this.node.textContent = rest
      ? this._trans.__('%1: %2', profile, rest)
      : this._trans.__('%1: expired', profile);
    this.node.title = this._trans.__(
      'This kernel has a token in %1. Click to show all tokens.',
      env ?? profile
    );
  }

  private _next: IHolding | null = null;
}

function end(holding: IHolding): number {
  return Date.parse(holding.expires_at ?? '');
}
