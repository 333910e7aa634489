import type { LocalState } from '@nexodus/contracts/agent';
import type { Endpoint, RelayLatency } from '@nexodus/contracts/type';
import { readAnnouncedEndpoints } from './announced-endpoints.ts';

/** Where a device may be reached, as its peers are told. */
export interface Whereabouts {
  /** Best first. */
  readonly endpoints: readonly Endpoint[];
  /** Relay that it can be invited through; empty for none. */
  readonly homeRelayId: string;
  /** Its round-trip times to relays. */
  readonly relayLatencies: readonly RelayLatency[];
}

/** Of a device that said nothing yet. */
export const NOWHERE: Whereabouts = { endpoints: [], homeRelayId: '', relayLatencies: [] };

/** Relays that a device may tell its round-trip times to; more are cut off (LocalState.relay_latencies). */
const MAX_LATENCIES = 8;

/** Names of relays (relay.v1). */
const RELAY_ID = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether the text can be the name of a relay: 1 to 63 lower-case letters, digits and inner hyphens. */
export function isRelayId(text: string): boolean {
  return RELAY_ID.test(text);
}

/** What of a device's word its peers may be told. Never throws. */
export function readWhereabouts(
  state: Pick<LocalState, 'endpoints' | 'homeRelayId' | 'relayLatencies'>,
): Whereabouts {
  const { endpoints, homeRelayId, relayLatencies } = state;
  return {
    endpoints: readAnnouncedEndpoints(endpoints),
    homeRelayId: isRelayId(homeRelayId) ? homeRelayId : '',
    relayLatencies: relayLatencies
      .slice(0, MAX_LATENCIES)
      .filter(({ relayId }) => isRelayId(relayId)),
  };
}

/** Text by which two whereabouts are equal. */
export function textOfWhereabouts({ endpoints, homeRelayId, relayLatencies }: Whereabouts): string {
  const places = endpoints.map(({ address, kind }) => `${address}/${kind}`).join();
  const times = relayLatencies.map(({ relayId, roundTripUs }) => `${relayId}/${roundTripUs}`);
  return `${places} ${homeRelayId} ${times.join()}`;
}
