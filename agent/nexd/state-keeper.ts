import type { Clock } from '@nexodus/clock';
import type { View } from '@nexodus/network-map';
import type { Logger } from '@nexodus/telemetry';
import type { KeptView, Pins } from '../state/agent-state.ts';
import type { DeviceKeys } from '../state/device-keys.ts';
import type { StateStore } from '../state/state-store.ts';

/** What the keeper needs. */
export interface StateKeeperOptions {
  readonly store: Pick<StateStore, 'savePins' | 'saveView'>;
  readonly keys: DeviceKeys;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A view that is in force, and what is kept with it. */
export type ViewInForce = KeptView & { readonly view: View };

/** Keeps what a device at work must find again after a restart. Nothing of it rejects: what fails is logged. */
export interface StateKeeper {
  /** Whether pins are in use that could not be kept. */
  readonly arePinsUnsaved: boolean;
  /** Keeps pins that changed, or that could not be kept before. */
  keepPins(pins: Pins, areChanged: boolean): Promise<void>;
  /** Keeps a view that differs from the one on disk, or where that is old; with `isForced` in any case. */
  keepView(kept: ViewInForce, isForced: boolean): Promise<void>;
  /** A restart must not bring back the peers of a device that was removed. */
  dropView(): Promise<void>;
}

/** The view on disk may be this much older than the one in force, as long as its entries are the same. */
const KEEP_INTERVAL_MS = 60_000;

/** Makes the keeper. */
export function createStateKeeper({ store, keys, clock, logger }: StateKeeperOptions): StateKeeper {
  let arePinsUnsaved = false;
  let saved = { digest: '', atMs: -Infinity };
  return {
    get arePinsUnsaved() {
      return arePinsUnsaved;
    },
    keepPins: async (pins, areChanged) => {
      if (!areChanged && !arePinsUnsaved) return;
      arePinsUnsaved = true;
      await store.savePins(keys, pins).then(
        () => {
          arePinsUnsaved = false;
        },
        (error: unknown) => logger.error({ error }, 'pins were not kept'),
      );
    },
    keepView: async (kept, isForced) => {
      const digest = Buffer.from(kept.view.digest.toBytes()).toString('hex');
      const isDue = clock.monotonicMs() - saved.atMs >= KEEP_INTERVAL_MS;
      if (!isForced && digest === saved.digest && !isDue) return;
      await store.saveView(keys, kept).then(
        () => {
          saved = { digest, atMs: clock.monotonicMs() };
        },
        (error: unknown) => logger.error({ error }, 'the view was not kept'),
      );
    },
    dropView: async () => {
      for (const round of ['present', 'previous']) {
        await store
          .saveView(keys, {})
          .catch((error: unknown) => logger.error({ error, round }, 'the view was not dropped'));
      }
    },
  };
}
