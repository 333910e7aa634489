/** What the agent's thread and the thread of the peers' loopback sockets tell each other (structured clone). */

/** Datagrams, one behind the other. */
export interface Datagrams {
  readonly bytes: Uint8Array;
  readonly lengths: Uint32Array;
}

/** To the sockets. A link is a number that the agent's thread chose. */
export type ToLinks =
  | { readonly kind: 'open'; readonly link: number }
  | { readonly kind: 'close'; readonly link: number }
  /** So many bytes of what was received were dealt with. */
  | { readonly kind: 'taken'; readonly bytes: number }
  | {
      readonly kind: 'deliver';
      readonly link: number;
      /** UDP port of the tunnel, on loopback. */
      readonly to: number;
      readonly datagrams: Datagrams;
    };

/** From the sockets. */
export type FromLinks =
  | { readonly kind: 'opened'; readonly link: number; readonly port: number }
  | { readonly kind: 'refused'; readonly link: number; readonly error: Error }
  | {
      readonly kind: 'received';
      readonly link: number;
      /** UDP port on loopback that they came from. */
      readonly from: number;
      readonly datagrams: Datagrams;
    };
