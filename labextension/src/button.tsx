import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';
import React from 'react';

/** The attributes of a button that keeps the focus while it is disabled. */
export function pressed(
  enabled: boolean,
  work: () => unknown
): React.ButtonHTMLAttributes<HTMLButtonElement> {
  return { 'aria-disabled': !enabled, onClick: () => enabled && void work() };
}

interface IIconButtonProps {
  readonly icon: LabIcon;
  readonly label: string;
  readonly enabled?: boolean;
  readonly expanded?: boolean;
  readonly onClick: () => void;
}

/** A button with an icon; its label is also the tooltip. */
export function IconButton(props: IIconButtonProps): React.JSX.Element {
  const { icon, label, enabled = true, expanded, onClick } = props;
  return (
    <button
      type="button"
      className="jp-Tokens-icon"
      aria-label={label}
      title={label}
      aria-expanded={expanded}
      {...pressed(enabled, onClick)}
    >
      <icon.react tag="span" />
    </button>
  );
}

/** Asks the user for confirmation. @param label - Of the button that confirms. */
export async function agreed(
  title: string,
  body: string,
  label: string,
  trans: TranslationBundle
): Promise<boolean> {
  const { button } = await showDialog({
    title,
    body,
    buttons: [Dialog.cancelButton({ label: trans.__('Cancel') }), Dialog.warnButton({ label })]
  });
  return button.accept;
}
