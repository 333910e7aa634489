import { spawnSync } from 'node:child_process';
import { NftError } from './nft-error.ts';
import type { NftProgrammer } from './nft-programmer.ts';

/** Output of one command at most: a listing of 100,000 elements. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** A call that takes longer hangs; 10,000 pairs in one transaction take 0.4 s. */
const TIMEOUT_MS = 30_000;

/** How nft is called. */
export interface CommandNftProgrammerOptions {
  /** Program and its first arguments, such as `['ip', 'netns', 'exec', 'x', 'nft']`. Default `['nft']`. */
  readonly command?: readonly string[];
}

/** Programs nftables by running `nft` for each call. */
export function createCommandNftProgrammer(
  options: CommandNftProgrammerOptions = {},
): NftProgrammer {
  const [program = 'nft', ...first] = options.command ?? ['nft'];
  const run = (args: readonly string[], input = ''): string => {
    const result = spawnSync(program, [...first, ...args], {
      input,
      encoding: 'utf8',
      maxBuffer: MAX_OUTPUT_BYTES,
      timeout: TIMEOUT_MS,
    });
    if (result.error !== undefined) {
      throw new NftError('unavailable', `${program} cannot be run`, { cause: result.error });
    }
    if (result.status !== 0) {
      throw new NftError(
        'refused',
        result.stderr.trim() || `${program} ended with ${result.status}`,
      );
    }
    return result.stdout;
  };
  return {
    technology: 'command',
    apply: (commands) => void run(['-f', '-'], commands),
    query: (command) => JSON.parse(run(['-j', command])) as unknown,
    show: (command) => run([command]),
    close: () => undefined,
  };
}
