import { formatIpAddress, parseIpAddress, prefixOf, unmapIpv4 } from '@nexodus/netip';

/** One host can hold a whole /64 (RFC 4291 section 2.5.1). */
const IPV6_HOST_BITS = 64;

/** Connections by where they come from: an IPv4 address, or an IPv6 /64. Each may have so many at once. */
export class ConnectionShares {
  readonly #perSource: number;
  readonly #counts = new Map<string, number>();

  constructor(perSource: number) {
    this.#perSource = perSource;
  }

  /** Counts a connection from an address, which `leave` takes back; false, and it is not counted, where there are enough. */
  enter(address: string): boolean {
    const source = sourceOf(address);
    const count = this.#counts.get(source) ?? 0;
    if (count >= this.#perSource) return false;
    this.#counts.set(source, count + 1);
    return true;
  }

  /** A connection that was counted is over. */
  leave(address: string): void {
    const source = sourceOf(address);
    const count = (this.#counts.get(source) ?? 0) - 1;
    if (count > 0) this.#counts.set(source, count);
    else this.#counts.delete(source);
  }
}

function sourceOf(text: string): string {
  // The system may name the interface of a link-local address (RFC 4007 section 11).
  const [withoutZone = ''] = text.split('%');
  const address = unmapIpv4(parseIpAddress(withoutZone));
  return formatIpAddress(
    address.family === 4 ? address : prefixOf(address, IPV6_HOST_BITS).address,
  );
}
