import { type Dataplane, planDevice } from '../dataplane/index.ts';
import type { DeviceKeys } from '../state/device-keys.ts';
import type { StateStore } from '../state/state-store.ts';

/** What `withdrawDevice` works on. */
export interface WithdrawalTarget {
  readonly keys: DeviceKeys;
  readonly store: Pick<StateStore, 'saveView'>;
  readonly dataplane: Pick<Dataplane, 'apply'>;
  /** Whether a run before left a tunnel. */
  readonly hasTunnel: boolean;
  readonly listenPort: number;
}

/**
 * Closes the tunnel of a device that was deleted or whose key expired, and drops its view, so that neither this run nor
 * a later one uses its peers: the view goes first, and the generation of it that is kept beside it too.
 *
 * @throws {StateError} {DataplaneError}
 */
export async function withdrawDevice(target: WithdrawalTarget): Promise<void> {
  const { keys, store, dataplane, hasTunnel, listenPort } = target;
  const empty = planDevice({ addresses: [], peers: [], listenPort });
  try {
    await store.saveView(keys, {});
    await store.saveView(keys, {});
  } finally {
    if (hasTunnel) await dataplane.apply(empty);
  }
}
