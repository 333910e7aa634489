import type { RelayRegistrationKey, SessionSide } from '@nexodus/relay-registration';
import type { WireGuardPublicKey } from '@nexodus/wireguard';

/** A device of a session, as lanes know it. */
export interface LaneDevice {
  readonly wireGuardKey: WireGuardPublicKey;
  /** Proves where the device is. */
  readonly registrationKey: RelayRegistrationKey;
}

/** A session that a lane carries. */
export interface LaneSession {
  readonly sessionId: bigint;
  /** Organization that the session counts for. */
  readonly tenantId: string;
  /** By side. */
  readonly devices: readonly [LaneDevice, LaneDevice];
}

/** Where the sides send to, such as "192.0.2.1:20000": by side, at most one address of each family. */
export type LanePlace = readonly [readonly string[], readonly string[]];

/** Why a lane gave a session up by itself. */
export type LaneEnd = 'idle' | 'quota';

/** What a lane tells by itself. */
export interface LaneEvents {
  /** The lane carries the session no longer. */
  readonly ended: (sessionId: bigint, reason: LaneEnd) => void;
  /** Packets of a device come from where it has not registered. */
  readonly roamed: (sessionId: bigint, side: SessionSide) => void;
}

/** Carries datagrams of pairs over UDP. */
export interface PairLane {
  /** Carries a session from now on; undefined when there is no room for it. */
  open(session: LaneSession): Promise<LanePlace | undefined>;
  /** Carries a session no longer, at once. Nothing happens for one that it does not carry. */
  close(sessionId: bigint): void;
}
