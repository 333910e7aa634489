import type { WireGuardPrivateKey } from '@nexodus/wireguard';
import type { PeerChanges } from './core/operation.ts';

/** What a WireGuard implementation says of its interface. */
export interface TunnelReading {
  /** UDP port; 0 while the tunnel has not bound one. */
  readonly listenPort: number;
  readonly peers: readonly TunnelPeer[];
}

/** What a WireGuard implementation says of a peer. */
export interface TunnelPeer {
  /** Base64. */
  readonly publicKey: string;
  /** Where packets go at this moment, roaming included; canonical `address:port`. */
  readonly endpoint?: string;
  /** Canonical prefixes. */
  readonly allowedIps: readonly string[];
  /** Null: never. */
  readonly latestHandshakeAt: Date | null;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly persistentKeepaliveSeconds: number;
}

/** How `Tunnel.create` shall make the interface. */
export interface TunnelOptions {
  readonly privateKey: WireGuardPrivateKey;
  /** 0: the tunnel's own choice. */
  readonly listenPort: number;
}

/**
 * One WireGuard interface, named when the adapter is made. It lives on when this process ends; only `remove` ends it.
 * Calls come one after the other. Everything thrown is a DataplaneError.
 */
export interface Tunnel {
  /** What carries the packets. */
  readonly technology: 'kernel' | 'wireguard-go' | 'memory';

  /**
   * Makes the interface, down, without addresses or peers. Throws `interface-taken` where there is one of this name,
   * and `port-taken`; after any failure nothing remains of what it began.
   */
  create(options: TunnelOptions): Promise<void>;

  /**
   * Takes over an interface that an earlier process of ours left, with everything on it. False: there is none. Throws
   * `interface-taken` without touching one that is not ours or has another private key.
   */
  adopt(privateKey: WireGuardPrivateKey): Promise<boolean>;

  /** Moves the tunnel to another UDP port. Throws `port-taken`. */
  setListenPort(listenPort: number): Promise<void>;

  /** Applies the changes in order; removing an unknown peer is no error. */
  applyPeerChanges(changes: PeerChanges): Promise<void>;

  /** Null: there is no interface of this name, or none that is ours. */
  read(): Promise<TunnelReading | null>;

  /**
   * Removes the interface and whatever process and socket carried it; idempotent. Throws `interface-taken` without
   * touching an interface that is not ours.
   */
  remove(): Promise<void>;
}
