/**
 * Which idle peer the tunnel wants to reach.
 *
 * The endpoint of all idle peers is one socket of the agent, so that their first packet costs nothing before it is there. It
 * is a handshake initiation: WireGuard has no session with a peer that has been idle for so long. Its mac1 follows from the
 * key of the peer that it is for (WireGuard paper, section 5.4.4). WireGuard repeats it only after 5 s, whatever endpoint the
 * peer has got meanwhile, so it is kept and forwarded when there is a path; not for long, since an old one that crosses the
 * peer's own would leave a tunnel that carries one direction only (measured).
 */
import {
  INITIATION_BYTES,
  type Mac1State,
  type Mac1Verifier,
  messageKind,
} from '@nexodus/wireguard';

/** An initiation is forwarded at this age at most. */
const KEPT_MS = 300;

interface KeptInitiation {
  readonly datagram: Uint8Array;
  readonly atMs: number;
}

/** Idle peers, and what the tunnel has sent for them. Instants are monotonic. */
export class WantedPeers {
  readonly #verify: Mac1Verifier;
  readonly #idle = new Map<string, Mac1State>();
  readonly #kept = new Map<string, KeptInitiation>();

  constructor(verify: Mac1Verifier) {
    this.#verify = verify;
  }

  /** A peer is idle; the state is that of its WireGuard key. */
  rest(peerId: string, state: Mac1State): void {
    this.#idle.set(peerId, state);
  }

  /** A peer is idle no longer; what was kept of it stays. */
  wake(peerId: string): void {
    this.#idle.delete(peerId);
  }

  /** A datagram that the tunnel sent to the common endpoint: the peer that it is for; undefined for nobody's. */
  take(datagram: Uint8Array, nowMs: number): string | undefined {
    const message = { bytes: datagram, offset: 0, length: datagram.length };
    if (datagram.length !== INITIATION_BYTES || messageKind(message) !== 'initiation') return;
    for (const [peerId, state] of this.#idle) {
      if (!this.#verify(state, message)) continue;
      this.#kept.set(peerId, { datagram: Uint8Array.from(datagram), atMs: nowMs });
      return peerId;
    }
    return undefined;
  }

  /** There is a path to the peer: the initiation to forward, once; undefined where there is none of use. */
  release(peerId: string, nowMs: number): Uint8Array | undefined {
    const kept = this.#kept.get(peerId);
    this.#kept.delete(peerId);
    return kept !== undefined && nowMs - kept.atMs <= KEPT_MS ? kept.datagram : undefined;
  }

  /** The peer began a handshake by itself: ours must not cross it. */
  drop(peerId: string): void {
    this.#kept.delete(peerId);
  }
}
