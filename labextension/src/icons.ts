import { LabIcon } from '@jupyterlab/ui-components';

import forgetSvg from '../style/icons/forget.svg';
import injectSvg from '../style/icons/inject.svg';
import revealSvg from '../style/icons/reveal.svg';
import tokensSvg from '../style/icons/tokens.svg';
import { NAMESPACE } from './tokens';

const icon = (name: string, svgstr: string): LabIcon =>
  new LabIcon({ name: `${NAMESPACE}:${name}`, svgstr });

export const forgetIcon = icon('forget', forgetSvg);
export const injectIcon = icon('inject', injectSvg);
export const revealIcon = icon('reveal', revealSvg);
export const tokensIcon = icon('tokens', tokensSvg);
