import { type Endpoint, EndpointKind } from '@nexodus/contracts/type';
import {
  addressKind,
  type AddressKind,
  formatIpAddress,
  InvalidAddressError,
  type IpAddress,
  parseIpAddress,
} from '@nexodus/netip';

/** Endpoints of one device; more are cut off (LocalState.endpoints). */
export const MAX_ENDPOINTS = 16;

/** Where nobody can be reached from another machine; an endpoint there would make peers send to themselves or to all. */
const UNREACHABLE: ReadonlySet<AddressKind> = new Set([
  'unspecified',
  'this-network',
  'loopback',
  'multicast',
  'broadcast',
  'reserved',
]);

/** The endpoints of a device that its peers may be told, in canonical text, each once, best first. Never throws. */
export function readAnnouncedEndpoints(endpoints: readonly Endpoint[]): Endpoint[] {
  const read = new Map<string, Endpoint>();
  for (const { address, kind } of endpoints.slice(0, MAX_ENDPOINTS)) {
    const text = readEndpointAddress(address);
    if (text === undefined || read.has(text)) continue;
    read.set(text, { address: text, kind: isKnownKind(kind) ? kind : EndpointKind.UNSPECIFIED });
  }
  return [...read.values()];
}

/** Canonical text of "192.0.2.1:51820" or "[2001:db8::1]:51820"; undefined for what no peer may send to. */
function readEndpointAddress(text: string): string | undefined {
  const match = /^(?:\[(?<six>[0-9a-fA-F:.]+)\]|(?<four>[0-9.]+)):(?<port>[0-9]{1,5})$/.exec(text);
  const port = Number(match?.groups?.['port']);
  if (match === null || !(port >= 1 && port <= 65_535)) return undefined;
  const six = match.groups?.['six'];
  const address = readAddress(six ?? match.groups?.['four'] ?? '');
  if (address === undefined || UNREACHABLE.has(addressKind(address))) return undefined;
  if ((six !== undefined) !== (address.family === 6)) return undefined;
  const host = formatIpAddress(address);
  return address.family === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

function readAddress(text: string): IpAddress | undefined {
  try {
    return parseIpAddress(text);
  } catch (error) {
    if (error instanceof InvalidAddressError) return undefined;
    throw error;
  }
}

function isKnownKind(kind: EndpointKind): boolean {
  return (
    kind === EndpointKind.LOCAL ||
    kind === EndpointKind.REFLEXIVE ||
    kind === EndpointKind.PORT_MAPPED
  );
}
