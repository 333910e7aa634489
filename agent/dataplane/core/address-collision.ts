import type { OnLinkPrefix } from '../host-network.ts';
import { cidrContains } from './cidr.ts';

/** A prefix of the plan that lies within an on-link prefix of another interface. */
export interface AddressCollision {
  readonly planned: string;
  readonly onLink: OnLinkPrefix;
}

/**
 * The planned prefixes that a network at hand already holds: with them, this machine would lose (for its own address)
 * or divert (for a route) traffic of that network. A planned prefix wider than the on-link one collides with nothing,
 * because the longer match stays with the network at hand.
 */
export function findCollisions(
  planned: readonly string[],
  onLink: readonly OnLinkPrefix[],
): AddressCollision[] {
  return planned.flatMap((prefix) => {
    const found = onLink.find((other) => cidrContains(other.prefix, prefix));
    return found === undefined ? [] : [{ planned: prefix, onLink: found }];
  });
}
