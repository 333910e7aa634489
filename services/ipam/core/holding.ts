import {
  type IpFamily,
  ipAddressesEqual,
  type Ipv4Address,
  type Ipv6Address,
} from '@nexodus/netip';
import type { AddressPair } from './address-pool.ts';
import type { OwnerId } from './ids.ts';

/** What an owner holds in a pool: leased until an instant, or confirmed at one. Instants are Unix milliseconds. */
export type Holding = AddressPair & { readonly ownerId: OwnerId } & (
    | { readonly state: 'leased'; readonly leaseUntil: number }
    | { readonly state: 'confirmed'; readonly confirmedAt: number }
  );

/** Addresses that a caller asked for; absent for any. */
export interface WantedAddresses {
  readonly ipv4?: Ipv4Address;
  readonly ipv6?: Ipv6Address;
}

/** Whether a holding counts at an instant: confirmed, or its lease has not ended. */
export function isLive(holding: Holding, now: number): boolean {
  return holding.state === 'confirmed' || holding.leaseUntil > now;
}

/** The family of which something else is wanted than is held; undefined where both agree. */
export function disagreement(held: AddressPair, wanted: WantedAddresses): IpFamily | undefined {
  if (wanted.ipv4 !== undefined && !ipAddressesEqual(wanted.ipv4, held.ipv4)) return 4;
  if (wanted.ipv6 !== undefined && !ipAddressesEqual(wanted.ipv6, held.ipv6)) return 6;
  return undefined;
}

/** The holding with its lease at least until an instant. A confirmed one stays as it is. */
export function renewed(holding: Holding, leaseUntil: number): Holding {
  if (holding.state === 'confirmed') return holding;
  return { ...holding, leaseUntil: Math.max(holding.leaseUntil, leaseUntil) };
}

/** The holding made permanent; when it was so already, unchanged. */
export function confirmed(holding: Holding, now: number): Holding {
  if (holding.state === 'confirmed') return holding;
  const { ownerId, ipv4, ipv6 } = holding;
  return { ownerId, ipv4, ipv6, state: 'confirmed', confirmedAt: now };
}
