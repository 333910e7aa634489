export { createCommandNftProgrammer } from './command-nft-programmer.ts';
export type { CommandNftProgrammerOptions } from './command-nft-programmer.ts';
export { createNftProgrammer } from './create-nft-programmer.ts';
export { createLibraryNftProgrammer } from './library-nft-programmer.ts';
export type { LibraryNftProgrammerOptions } from './library-nft-programmer.ts';
export { NftError } from './nft-error.ts';
export type { NftErrorReason } from './nft-error.ts';
export type { NftProgrammer } from './nft-programmer.ts';
