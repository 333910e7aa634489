import { formatIpAddress, parseIpAddress } from '@nexodus/netip';
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
} from '@nexodus/socket-address';

/** An IPv4 address and port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** The raw socket address of an endpoint. */
export function rawAddress({ address, port }: Endpoint): Uint8Array {
  const raw = new Uint8Array(SOCKET_ADDRESS_BYTES);
  encodeSocketAddress(raw, 0, { address: parseIpAddress(address), port });
  return raw;
}

/** The endpoint in a raw socket address. */
export function endpointAt(raw: Uint8Array, offset: number): Endpoint {
  const { address, port } = decodeSocketAddress(raw, offset);
  return { address: formatIpAddress(address), port };
}

/** `address:port`. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}

/** Reads `address:port`. */
export function parseEndpoint(text: string): Endpoint {
  const at = text.lastIndexOf(':');
  return { address: text.slice(0, at), port: Number(text.slice(at + 1)) };
}
