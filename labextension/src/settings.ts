import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import { PLUGIN_ID } from './tokens';

/** What the user can set, as in schema/plugin.json. */
export interface ISettings {
  /** The environment variable for each profile, by the profile's name. */
  readonly variables: Readonly<Record<string, string>>;
  /** Seconds between two polls of the profiles. */
  readonly pollSeconds: number;
  /** Notify this many seconds before a token expires that nothing renews; 0 for never. */
  readonly notifyBeforeExpiry: number;
  readonly notifyFailures: boolean;
}

export const DEFAULTS: ISettings = {
  variables: {},
  pollSeconds: 15,
  notifyBeforeExpiry: 120,
  notifyFailures: true
};

/** Calls back with the settings, now and after each change; with the defaults if there is no settings registry. */
export async function followSettings(
  registry: ISettingRegistry | null,
  take: (settings: ISettings) => void
): Promise<void> {
  const loaded = await registry?.load(PLUGIN_ID);
  const tell = (): void => take({ ...DEFAULTS, ...(loaded?.composite as Partial<ISettings>) });
  loaded?.changed.connect(tell);
  tell();
}
