export { createNftProgrammer } from './create-nft-programmer.ts';
export type { NftProgrammerOptions } from './create-nft-programmer.ts';
export { NftError } from './nft-error.ts';
export type { NftErrorReason } from './nft-error.ts';
export type { NftProgrammer } from './nft-programmer.ts';
