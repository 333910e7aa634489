import type { IpAddress } from '@nexodus/netip';

/** How a device came by an address of its own: what nexodus.path.v1.CandidateKind says. */
export type CandidateKind = 'local' | 'observed' | 'port-mapped' | 'reflexive';

/** An address and port of UDP. */
export interface UdpAddress {
  /** Never an IPv4-mapped IPv6 one: an address has one form only. */
  readonly address: IpAddress;
  /** 1 to 65,535. */
  readonly port: number;
}

/** An address where a device says that it may be reached. Its peer alone vouches for it. */
export interface Candidate extends UdpAddress {
  readonly kind: CandidateKind;
  /** 0 to 2^32 - 1; the larger, the sooner it is worth a try. */
  readonly priority: number;
}

/** Why a device does not move to a path: what nexodus.path.v1.DeclineReason says. */
export type DeclineReason = 'busy' | 'unknown' | 'unproven' | 'unspecified' | 'unwanted';

/** What a device says to a peer through a relay; proto/nexodus/path/v1/signal.proto says what each means. */
export type Signal =
  | {
      readonly kind: 'candidates';
      /** At most 16. */
      readonly candidates: readonly Candidate[];
      /** Where the newest probe of the receiver came from. */
      readonly observed: UdpAddress | undefined;
    }
  | { readonly kind: 'call-me' }
  | {
      readonly kind: 'nominate';
      readonly nomination: bigint;
      /** Of a ping of the sender that came by the path; 0: the path through the relay. */
      readonly transaction: bigint;
    }
  | { readonly kind: 'accept'; readonly nomination: bigint }
  | { readonly kind: 'decline'; readonly nomination: bigint; readonly reason: DeclineReason };

/** Candidates that a signal may have. */
export const MAX_CANDIDATES = 16;
