import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ITokens } from './tokens';

/** The time left, such as `4:05`, `1:00:00` or `3 d 4 h`; empty after the expiry. */
export function left(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds <= 0) {
    return '';
  }
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor(seconds / 3600) % 24;
  if (days > 0) {
    return `${days} d ${hours} h`;
  }
  const two = (number: number): string => String(number).padStart(2, '0');
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(seconds % 60)}`
    : `${minutes}:${two(seconds % 60)}`;
}

interface ICountdownProps {
  readonly expiresAt: string;
  readonly tokens: ITokens;
  readonly trans: TranslationBundle;
}

/** Counts down in its own text node, so that nothing is rendered again. */
export function Countdown({ expiresAt, tokens, trans }: ICountdownProps): React.JSX.Element {
  const text = React.useRef<HTMLTimeElement>(null);
  React.useLayoutEffect(() => {
    const end = Date.parse(expiresAt);
    const tell = (): void => {
      const rest = left(end - tokens.now());
      if (text.current) {
        text.current.textContent = rest ? trans.__('%1 left', rest) : trans.__('expired');
      }
    };
    tell();
    const timer = setInterval(tell, 1000);
    return () => clearInterval(timer);
  }, [expiresAt, tokens, trans]);
  return (
    <time
      ref={text}
      className="jp-Tokens-countdown"
      dateTime={expiresAt}
      title={new Date(expiresAt).toLocaleString()}
    />
  );
}
