import { type Endpoint, EndpointKind } from '@nexodus/contracts/type';
import type { MappedPlace } from './nat-verdict.ts';
import type { OwnAddress } from './own-addresses.ts';
import { placeText } from './stun-servers.ts';

/** Where a device may be reached. */
export interface Whereabouts {
  readonly own: readonly OwnAddress[];
  /** As which the tunnel's port is seen from outside. */
  readonly mapped: readonly MappedPlace[];
  /** UDP port of the tunnel; 0: none. */
  readonly tunnelPort: number;
}

/** At most this many endpoints are told (agent.proto, LocalState). */
const MAX_ENDPOINTS = 16;

/** Of them for outside addresses where there are too many own ones: one for each family, and one to spare. */
const MAX_MAPPED = 3;

/** What peers are told: own addresses, then outside ones that are no own ones; each once, at most 16. Never throws. */
export function ownEndpoints({ own, mapped, tunnelPort }: Whereabouts): readonly Endpoint[] {
  if (tunnelPort === 0) return [];
  const local = new Set(own.map(({ address }) => placeText({ address, port: tunnelPort })));
  const outside = [...new Set(mapped.map((place) => placeText(place.mapped)))]
    .filter((address) => !local.has(address))
    .slice(0, MAX_MAPPED);
  return [
    ...[...local]
      .slice(0, MAX_ENDPOINTS - outside.length)
      .map((address) => ({ address, kind: EndpointKind.LOCAL })),
    ...outside.map((address) => ({ address, kind: EndpointKind.REFLEXIVE })),
  ];
}
