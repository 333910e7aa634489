import { SOCKET_ADDRESS_BYTES, socketAddressesEqual } from '@nexodus/socket-address';

/** A raw socket address (packages/socket-address) somewhere in an array, such as a batch's addresses. */
export interface SourceView {
  readonly bytes: Uint8Array;
  readonly offset: number;
}

/** A raw socket address of its own, beginning at offset 0, that nobody changes. */
export type Source = Uint8Array;

/** Copies an address out of an array that is used again. */
export function copySource({ bytes, offset }: SourceView): Source {
  return bytes.slice(offset, offset + SOCKET_ADDRESS_BYTES);
}

/** Whether a datagram came from an address. */
export function isFrom(source: Source | undefined, { bytes, offset }: SourceView): boolean {
  return source !== undefined && socketAddressesEqual(source, 0, bytes, offset);
}
