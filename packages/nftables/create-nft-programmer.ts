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

/**
 * The fastest programmer that works here: the library, else the command. It has answered once, so nftables is there and
 * this process may look at it; whether it may change it shows the first `apply`.
 *
 * @throws {NftError} where neither answers
 */
export async function createNftProgrammer(
  options: LibraryNftProgrammerOptions & CommandNftProgrammerOptions = {},
): Promise<NftProgrammer> {
  const library = await createLibraryNftProgrammer(options).catch((error: unknown) => {
    if (error instanceof NftError) return undefined;
    throw error;
  });
  const programmer = library ?? createCommandNftProgrammer(options);
  try {
    programmer.query('list tables');
  } catch (error) {
    programmer.close();
    throw error;
  }
  return programmer;
}
