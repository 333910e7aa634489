/** Which lane of a relay carries a pair: datagrams where they get through on both sides, the TLS lane elsewhere. */

/** Lanes of a relay. */
export type Lane = 'udp' | 'tls';

/** How `--relay-only` was given: `any` without a lane. */
export type RelayDemand = 'any' | Lane;

/** What is known of the UDP lane of one session, on this side. */
export interface UdpStanding {
  /**
   * `none`: the relay has none. `unproven`: the session's lock follows from handshakes alone, because this machine cannot
   * register from the tunnel's port.
   */
  readonly state: 'none' | 'asking' | 'registered' | 'silent' | 'unproven';
  /** When that state began, on the monotonic clock. */
  readonly sinceMs: number;
}

/** What a choice is made from. Instants are on the monotonic clock. */
export interface LaneQuestion {
  readonly demand: RelayDemand;
  readonly udp: UdpStanding;
  /** Until when the peer's word holds that it can be reached over TLS only; undefined: it said nothing. */
  readonly peerNeedsTlsUntilMs: number | undefined;
  /** When WireGuard last shook hands with the peer. */
  readonly handshakeAtMs: number | undefined;
  readonly nowMs: number;
}

/** A lane and why it is that one; no lane while it is not known whether datagrams get through. */
export interface LaneChoice {
  readonly lane: Lane | undefined;
  /** For people; empty for the UDP lane. */
  readonly reason: string;
  /** Whether this side can be reached over TLS only: what the peer must know. */
  readonly needsTls: boolean;
}

/** Handshakes alone have this long to get through: two of WireGuard's attempts (REKEY_TIMEOUT 5 s). */
const UNPROVEN_MS = 11_000;

const NO_LANE = 'the relay carries no datagrams';
const NO_ANSWER = 'datagrams to the relay get no answer';
const NO_HANDSHAKE = 'no handshake gets through as datagrams';

/** Chooses. */
export function chooseLane(question: LaneQuestion): LaneChoice {
  const { demand, peerNeedsTlsUntilMs = -Infinity, nowMs } = question;
  if (demand === 'tls') return { lane: 'tls', reason: 'TLS is demanded', needsTls: true };
  const fault = faultOf(question);
  if (fault === undefined) return { lane: undefined, reason: '', needsTls: false };
  if (fault === '') {
    const isAsked = demand === 'any' && nowMs < peerNeedsTlsUntilMs;
    return isAsked
      ? { lane: 'tls', reason: 'the peer cannot use datagrams', needsTls: false }
      : { lane: 'udp', reason: '', needsTls: false };
  }
  return demand === 'udp'
    ? { lane: undefined, reason: fault, needsTls: false }
    : { lane: 'tls', reason: fault, needsTls: true };
}

/** Why the UDP lane cannot be used: empty where it can, undefined while that is not known. */
function faultOf({ udp, handshakeAtMs, nowMs }: LaneQuestion): string | undefined {
  switch (udp.state) {
    case 'none':
      return NO_LANE;
    case 'silent':
      return NO_ANSWER;
    case 'asking':
      return undefined;
    case 'registered':
      return '';
    case 'unproven': {
      const isProven = handshakeAtMs !== undefined && handshakeAtMs >= udp.sinceMs;
      return isProven || nowMs - udp.sinceMs < UNPROVEN_MS ? '' : NO_HANDSHAKE;
    }
  }
}
