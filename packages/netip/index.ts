export { InvalidAddressError } from './invalid-address-error.ts';
export type { InvalidAddressReason } from './invalid-address-error.ts';
export {
  addressBits,
  compareIpAddresses,
  formatIpAddress,
  ipAddressFromBytes,
  ipAddressFromValue,
  ipAddressToBytes,
  ipAddressesEqual,
  parseIpAddress,
  unmapIpv4,
} from './ip-address.ts';
export type { IpAddress, IpFamily, Ipv4Address, Ipv6Address } from './ip-address.ts';
export {
  addressIndex,
  compareIpPrefixes,
  formatIpPrefix,
  hostPrefix,
  lastAddress,
  nthAddress,
  nthSubnet,
  parseIpPrefix,
  prefixContains,
  prefixContainsPrefix,
  prefixOf,
  prefixSize,
  prefixesOverlap,
  subnetsOf,
} from './ip-prefix.ts';
export type { IpPrefix, Ipv4Prefix, Ipv6Prefix } from './ip-prefix.ts';
export {
  formatIpRange,
  parseIpRange,
  rangeContains,
  rangeOfPrefix,
  rangesOverlap,
} from './ip-range.ts';
export type { IpRange } from './ip-range.ts';
export { GLOBAL_ID_BYTES, uniqueLocalPrefix } from './unique-local-prefix.ts';
export { addressKind } from './address-kind.ts';
export { isPrefixOf, parseAssignablePrefix } from './assignable-prefix.ts';
export type { AddressKind } from './address-kind.ts';
