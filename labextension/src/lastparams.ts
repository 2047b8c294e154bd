import type { IStateDB } from '@jupyterlab/statedb';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { Signal } from '@lumino/signaling';

import { NAMESPACE, type IObjectSchema, type Params, type Value } from './tokens';

const KEY = `${NAMESPACE}:params`;
const NONE: Params = {};

/** The last parameters of each profile. */
export class LastParams {
  /** @param _state - Null if the application has no state database: then a reload loses them. */
  constructor(private readonly _state: IStateDB | null) {}

  /** Whether the saved parameters have been read. */
  isReady = false;
  /** Emitted when the saved parameters have been read. */
  readonly changed = new Signal<this, void>(this);

  /** Reads the parameters that an earlier page has saved, if possible. */
  async restore(): Promise<void> {
    const saved = await this._state?.fetch(KEY).catch(() => undefined);
    for (const [profile, params] of Object.entries(isObject(saved) ? saved : {})) {
      const values = Object.entries(isObject(params) ? params : {}).filter(isValue);
      this._params.set(profile, Object.fromEntries(values));
    }
    this.isReady = true;
    this.changed.emit();
  }

  of(profile: string): Params {
    return this._params.get(profile) ?? NONE;
  }

  /** Saves the parameters, without those that the schema marks as secret. */
  set(profile: string, params: Params, schema: IObjectSchema): void {
    const open = Object.entries(params).filter(([name]) => {
      const field = schema.properties[name];
      return field !== undefined && !field.writeOnly;
    });
    this._params.set(profile, Object.fromEntries(open));
    void this._state?.save(KEY, Object.fromEntries(this._params));
  }

  private readonly _params = new Map<string, Params>();
}

function isObject(value: unknown): value is ReadonlyPartialJSONObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isValue(entry: [string, unknown]): entry is [string, Value] {
  return ['string', 'number', 'boolean'].includes(typeof entry[1]);
}
