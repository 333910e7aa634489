/**
 * Gives integration tests the programs of the Debian cache, also when vitest is started directly. Runs in vitest's main
 * process, whose environment the workers inherit.
 */
import { applyDebianCache, prepareDebianCache } from '../setup/debian.ts';
import { printFailure, SetupError } from '../setup/report.mjs';

/** Called by vitest once, before the first worker starts. */
export async function setup(): Promise<void> {
  try {
    applyDebianCache(await prepareDebianCache());
  } catch (error) {
    // Where the packages cannot be unpacked, the machine's own programs may do.
    if (!(error instanceof SetupError)) throw error;
    printFailure(error);
  }
}
