import ipaddr from 'ipaddr.js';

/** Offset of the gateway in a switch's prefix: the first usable address, as home routers take it. */
export const GATEWAY_OFFSET = 1n;

/** Offset of the first host that is given an address by the plan; smaller ones stay free for fixed addresses. */
export const FIRST_HOST_OFFSET = 10n;

/** An IPv4 or IPv6 prefix of a switch, taken apart for arithmetic. */
export type Prefix = {
  readonly bits: 32 | 128;
  readonly length: number;
  readonly network: bigint;
};

/**
 * Reads a prefix such as `10.77.0.0/24` or `fd77::/64`.
 *
 * @throws RangeError when the text is no prefix or has bits set behind its length.
 */
export function parsePrefix(text: string): Prefix {
  if (!ipaddr.isValidCIDR(text)) throw new RangeError(`not an IP prefix: ${text}`);
  const [address, length] = ipaddr.parseCIDR(text);
  const bits = address.kind() === 'ipv4' ? 32 : 128;
  const network = address.toByteArray().reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  if (network % (1n << BigInt(bits - length)) !== 0n)
    throw new RangeError(`host bits are set in prefix ${text}`);
  return { bits, length, network };
}

/**
 * The address `offset` places above the prefix's own, as text without a length.
 *
 * @throws RangeError when the prefix has no such address (for IPv4 its broadcast address counts as none).
 */
export function addressAt(prefix: Prefix, offset: bigint): string {
  const size = 1n << BigInt(prefix.bits - prefix.length);
  const last = prefix.bits === 32 ? size - 2n : size - 1n;
  if (offset < 0n || offset > last)
    throw new RangeError(`no address at offset ${offset} of a /${prefix.length}`);
  const value = prefix.network + offset;
  const bytes = Array.from({ length: prefix.bits / 8 }, (_, index) =>
    Number((value >> BigInt(prefix.bits - 8 * (index + 1))) & 0xffn),
  );
  return ipaddr.fromByteArray(bytes).toString();
}
