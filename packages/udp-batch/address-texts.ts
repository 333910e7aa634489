import { formatIpAddress, parseIpAddress } from '@nexodus/netip';
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
  socketAddressLength,
} from '@nexodus/socket-address';

/** Addresses that are remembered in each direction; more are calculated anew, from an empty memory. */
const MEMORY = 4_096;
/** Bytes of an IPv4 socket address, and where its address begins. */
const IPV4_BYTES = 16;
const ADDRESS_OFFSET = 4;

/** Raw socket addresses out of texts and back: Node's own sockets know addresses as text, at every datagram. */
export class AddressTexts {
  readonly #raw = new Map<string, Uint8Array>();
  readonly #texts = new Map<number, string>();

  /** Writes an address and port as raw socket address. A zone (`%eth0`) is passed over. */
  write(target: Uint8Array, text: string, port: number): void {
    let raw = this.#raw.get(text);
    if (raw === undefined) {
      raw = new Uint8Array(SOCKET_ADDRESS_BYTES);
      encodeSocketAddress(raw, 0, { address: parseIpAddress(text.replace(/%.*$/, '')), port: 0 });
      if (this.#raw.size >= MEMORY) this.#raw.clear();
      this.#raw.set(text, raw);
    }
    target.set(raw);
    target[2] = port >> 8;
    target[3] = port & 0xff;
  }

  /** The text of a raw socket address; undefined for one of another family. */
  read(raw: Uint8Array, offset: number): string | undefined {
    const length = socketAddressLength(raw, offset);
    if (length === 0) return undefined;
    if (length !== IPV4_BYTES) return formatIpAddress(decodeSocketAddress(raw, offset).address);
    const at = offset + ADDRESS_OFFSET;
    const [a = 0, b = 0, c = 0, d = 0] = [raw[at], raw[at + 1], raw[at + 2], raw[at + 3]];
    const key = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    const text = `${a}.${b}.${c}.${d}`;
    if (this.#texts.size >= MEMORY) this.#texts.clear();
    this.#texts.set(key, text);
    return text;
  }
}
