import type { SessionSide } from '@nexodus/relay-registration';
import { decodeSocketAddress } from '@nexodus/socket-address';
import type { Admission } from '../core/admission.ts';
import { burstBytes, type Session } from '../core/session-table.ts';
import type { Source } from '../core/source.ts';
import type { Flow, FlowSide } from './offload/flow-elements.ts';
import type { SocketReason } from './udp-lane.ts';

/** Handles of the sockets of one side, by address family. */
export interface SideSockets {
  readonly ipv4: number | undefined;
  readonly ipv6: number | undefined;
}

/** A session as the thread of a lane holds it. */
export interface LaneSession {
  session: Session;
  readonly admission: Admission;
  /** By side; undefined while they are being opened. */
  sockets: readonly [SideSockets, SideSockets] | undefined;
  /** Requests that wait for the sockets. */
  readonly waiting: number[];
  /** Who carries its data. */
  carriage: 'nobody' | 'kernel' | SocketReason;
  /** What the kernel carries; undefined while it carries nothing. */
  flow: Flow | undefined;
  /** Payload bytes of each side that the kernel counted and that are counted here as well. */
  readonly counted: [number, number];
  /** When the kernel began to carry it. */
  offloadedAtMs: number;
  /** What the kernel had counted of each side when it was last looked at. */
  readonly seen: [SeenDirection, SeenDirection];
  /** Why the kernel could not carry it; it is not asked again until a side is locked anew. */
  failure: 'refused' | 'narrow' | undefined;
}

/** Packets of one direction in the kernel. */
export interface SeenDirection {
  readonly arrived: number;
  readonly departed: number;
}

/** A direction in which nothing was seen. */
export const nothingSeen: SeenDirection = { arrived: 0, departed: 0 };

/** A session before its sockets are open. */
export function createLaneSession(session: Session, admission: Admission): LaneSession {
  return {
    session,
    admission,
    sockets: undefined,
    waiting: [],
    carriage: 'nobody',
    flow: undefined,
    counted: [0, 0],
    offloadedAtMs: 0,
    seen: [nothingSeen, nothingSeen],
    failure: undefined,
  };
}

/** What the kernel is to know of a session. */
export function flowOf({ session, admission }: LaneSession, isOffloaded: boolean): Flow {
  const side = (index: SessionSide): FlowSide => ({
    port: session.ports[index],
    device: placeOf(admission.lockedSource(index)),
  });
  const { rateBytesPerSecond } = session.limits;
  return {
    sides: [side(0), side(1)],
    isOffloaded,
    limit: Number.isFinite(rateBytesPerSecond)
      ? { rateBytesPerSecond, burstBytes: burstBytes(rateBytesPerSecond) }
      : undefined,
  };
}

/** The socket of a side that sends to an address. */
export function socketFor(
  { sockets }: LaneSession,
  side: SessionSide,
  to: Source,
): number | undefined {
  return sockets?.[side][to[0] === AF_INET ? 'ipv4' : 'ipv6'];
}

/** First byte of a raw IPv4 socket address. */
const AF_INET = 2;

function placeOf(source: Source | undefined): FlowSide['device'] {
  return source && decodeSocketAddress(source, 0);
}
