import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import { PLUGIN_ID } from './tokens';

/** What the user can set, as in schema/plugin.json. */
export interface ISettings {
  /** Profile to environment variable. */
  readonly variables: Readonly<Record<string, string>>;
  /** Seconds between two looks at the profiles. */
  readonly pollSeconds: number;
  /** Seconds before its end at which a token that nobody renews is told of; 0 for never. */
  readonly notifyBeforeExpiry: number;
  readonly notifyFailures: boolean;
}

export const DEFAULTS: ISettings = {
  variables: {},
  pollSeconds: 15,
  notifyBeforeExpiry: 120,
  notifyFailures: true
};

/** Calls with the settings, now and whenever they are others; with the defaults where nothing keeps settings. */
export async function followSettings(
  registry: ISettingRegistry | null,
  take: (settings: ISettings) => void
): Promise<void> {
  const loaded = await registry?.load(PLUGIN_ID);
  const tell = (): void => take({ ...DEFAULTS, ...(loaded?.composite as Partial<ISettings>) });
  loaded?.changed.connect(tell);
  tell();
}
