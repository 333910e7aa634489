import { formatIpAddress, InvalidAddressError, parseIpAddress } from '@nexodus/netip';
import { canonicalEndpoint } from '../dataplane/core/cidr.ts';
import type { DatagramPlace } from './port-socket.ts';

/** Canonical `address:port`; undefined for what has none. */
export function textOfPlace({ address, port }: DatagramPlace): string | undefined {
  try {
    const text = formatIpAddress(parseIpAddress(address));
    return text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`;
  } catch (error) {
    if (error instanceof InvalidAddressError) return undefined;
    throw error;
  }
}

/** Reads `address:port`; undefined for anything else. */
export function placeOfText(text: string): (DatagramPlace & { readonly text: string }) | undefined {
  const canonical = canonicalEndpoint(text);
  if (canonical === null) return undefined;
  const at = canonical.lastIndexOf(':');
  const address = canonical.slice(0, at).replace(/^\[|\]$/g, '');
  return { address, port: Number(canonical.slice(at + 1)), text: canonical };
}
