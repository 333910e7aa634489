/**
 * The UDP lane of a relay as the rest of the service sees it: it carries datagrams of pairs between two ports, and opens
 * none of them. How much of the work the kernel does is its own affair; all ways keep the same promises.
 */
import type { RelayRegistrationKey, SessionSide } from '@nexodus/relay-registration';
import type { WireGuardPublicKey } from '@nexodus/wireguard';
import type { DropReason } from '../core/verdict.ts';

/** A device of a session. */
export interface UdpLaneDevice {
  readonly wireGuardKey: WireGuardPublicKey;
  /** Proves where the device is. */
  readonly registrationKey: RelayRegistrationKey;
}

/** A session to carry. */
export interface UdpLaneSession {
  readonly sessionId: bigint;
  /** Organization that the session counts for. */
  readonly tenantId: string;
  /** By side. */
  readonly devices: readonly [UdpLaneDevice, UdpLaneDevice];
  /** When it ends at the latest, in milliseconds since 1970. Default: never. */
  readonly notAfterAt?: number;
  /** Bytes of both directions together. Default: the lane's. */
  readonly quotaBytes?: number;
  /** Bytes per second of each direction. Default: the lane's. */
  readonly rateBytesPerSecond?: number;
}

/** Where the sides send to, such as "192.0.2.1:20000": by side, one address of each family that the lane has. */
export type UdpLanePlace = readonly [readonly string[], readonly string[]];

/** Why a lane gave a session up by itself. */
export type UdpLaneEnd = 'idle' | 'quota' | 'expired';

/** What a lane tells by itself. */
export interface UdpLaneEvents {
  /** The lane carries the session no longer. */
  readonly ended: (sessionId: bigint, reason: UdpLaneEnd) => void;
  /** Packets of a device come from where it has not registered; it should. At most once a second. */
  readonly roamed: (sessionId: bigint, side: SessionSide) => void;
  /** The kernel does not carry what it was told to: the lane goes on without it for a while. */
  readonly offloadFailed: (reason: string) => void;
  /** The lane has ended with all its sessions, without having been asked to. */
  readonly failed: (error: Error) => void;
}

/**
 * Why a session that can carry is carried by the relay's own sockets: `families`: its sides have different address
 * families; `narrow`: packets must be fragmented on the way; `offload`: this lane has no offload, or lost it; `refused`:
 * the kernel did not take this one, or did not carry it.
 */
export type SocketReason = 'families' | 'narrow' | 'offload' | 'refused';

/** What a lane does and has done since its start. Bytes are those of UDP payloads. */
export interface UdpLaneStatistics {
  /** Sessions it can carry at most. */
  readonly capacity: number;
  readonly sessions: number;
  /** Sessions by who carries their data; the rest is not locked yet. */
  readonly carriedBy: { readonly kernel: number } & Readonly<Record<SocketReason, number>>;
  /** Bytes carried by the kernel and by sockets. The kernel is asked in turns, so its part may be some seconds old. */
  readonly carriedBytes: { readonly kernel: number; readonly sockets: number };
  /** Datagrams that the lane's sockets received, by what became of them. */
  readonly datagrams: Readonly<Record<DatagramFate, number>>;
  /** Datagrams that the kernel refused before they reached a socket: of no known form, or too many of one source. */
  readonly prefiltered: { readonly junk: number; readonly rate: number };
}

/** What becomes of a datagram at a socket of the lane. `limit`: over the rate of the session; `unsent`: the system did not take it. */
export type DatagramFate = 'forwarded' | 'answered' | 'limit' | 'unsent' | DropReason;

/** How data is carried here: by the kernel where possible, else by batched or by Node's own sockets. */
export type UdpLaneTechnology = 'nft' | 'koffi' | 'dgram';

/** Carries datagrams of pairs over UDP. */
export interface UdpLane {
  readonly technology: UdpLaneTechnology;
  /** Why it is not a faster one. */
  readonly technologyReason: string | undefined;
  /** Sessions it can carry at most. */
  readonly capacity: number;
  /**
   * Carries a session from now on, or renews the limits of one it carries; its place stays. Undefined when there is no
   * room for it: no ports, or its tenant or one of its devices has its share.
   */
  open(session: UdpLaneSession): Promise<UdpLanePlace | undefined>;
  /** Carries a session no longer, at once. Nothing happens for one that it does not carry. */
  close(sessionId: bigint): void;
  /** Takes no new session from now on. */
  drain(): void;
  statistics(): Promise<UdpLaneStatistics>;
  /** Ends all sessions and leaves the machine as it was. Safe to call again. */
  stop(): Promise<void>;
}
