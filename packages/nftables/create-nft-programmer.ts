import {
  type CommandNftProgrammerOptions,
  createCommandNftProgrammer,
} from './command-nft-programmer.ts';
import {
  createLibraryNftProgrammer,
  type LibraryNftProgrammerOptions,
} from './library-nft-programmer.ts';
import { NftError } from './nft-error.ts';
import type { NftProgrammer } from './nft-programmer.ts';

/** How a programmer is chosen. */
export interface NftProgrammerOptions
  extends LibraryNftProgrammerOptions, CommandNftProgrammerOptions {
  /** `auto`, the default: the library where it can be loaded, else the command. */
  readonly technology?: NftProgrammer['technology'] | 'auto';
}

/**
 * Makes a programmer. It has answered once, so nftables is there and this process may look at it; whether it may change
 * it shows the first `apply`.
 *
 * @throws {NftError} where none answers
 */
export async function createNftProgrammer(
  options: NftProgrammerOptions = {},
): Promise<NftProgrammer> {
  const programmer = await choose(options);
  try {
    programmer.query('list tables');
  } catch (error) {
    programmer.close();
    throw error;
  }
  return programmer;
}

async function choose(options: NftProgrammerOptions): Promise<NftProgrammer> {
  const { technology = 'auto' } = options;
  if (technology === 'command') return createCommandNftProgrammer(options);
  try {
    return await createLibraryNftProgrammer(options);
  } catch (error) {
    if (technology === 'auto' && error instanceof NftError) {
      return createCommandNftProgrammer(options);
    }
    throw error;
  }
}
