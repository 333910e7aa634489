import { applyDebianCache, prepareDebianCache } from '../../tools/setup/debian.ts';
import { printFailure, SetupError } from '../../tools/setup/report.mjs';
import { runLabCommand } from './lab-command.ts';

try {
  applyDebianCache(await prepareDebianCache());
} catch (error) {
  // Where the packages cannot be unpacked, the machine's own programs may do.
  if (!(error instanceof SetupError)) throw error;
  printFailure(error);
}
process.exitCode = await runLabCommand(process.argv.slice(2));
