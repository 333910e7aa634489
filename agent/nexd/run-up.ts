import { openStateStore } from '../state/state-store.ts';
import { runDaemon } from './daemon.ts';
import { openMachineParts } from './machine-parts.ts';
import type { UpEnvironment, UpOptions } from './up-options.ts';

/**
 * `nexd up`: runs the daemon on this machine until the signal or `nexd down`.
 *
 * @throws {DataplaneError} {StateError} for a machine or a state directory that cannot be used; whatever the daemon throws
 */
export async function runUp(options: UpOptions, environment: UpEnvironment): Promise<void> {
  const parts = await openMachineParts(options, environment);
  const store = await openStateStore(options.stateDirectory);
  try {
    await runDaemon({ options, environment, parts, store });
  } finally {
    store.close();
  }
}
