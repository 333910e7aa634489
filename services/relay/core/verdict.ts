import type { SessionSide } from '@nexodus/relay-registration';
import type { Source } from './source.ts';

/**
 * Why a datagram is not carried. `not-wireguard`: neither a WireGuard message nor a registration; `mac1`: addressed to
 * somebody else; `rate`: too many; `unknown-source`: not from the source that the side is locked to; `no-destination`:
 * the other side is not known yet; `no-initiation`: answers nothing that was asked; `registration-refused`: of another
 * session or not authentic; `registration-replayed`: its timestamp is not new.
 */
export type DropReason =
  | 'not-wireguard'
  | 'mac1'
  | 'rate'
  | 'unknown-source'
  | 'no-destination'
  | 'no-initiation'
  | 'registration-refused'
  | 'registration-replayed';

/** What a datagram proved beside being carried. */
export type AdmissionEvent =
  | {
      readonly kind: 'locked';
      readonly side: SessionSide;
      readonly source: Source;
      readonly by: 'handshake' | 'data' | 'registration';
    }
  /** Data for the right session came from elsewhere: the device should register. Proves nothing. */
  | { readonly kind: 'roam-suspected'; readonly side: SessionSide };

/**
 * What to do with a datagram: nothing; send it on from the other side's port to each of `to`; or send `bytes` back to
 * where it came from.
 */
export type Verdict =
  | { readonly kind: 'drop'; readonly reason: DropReason; readonly event?: AdmissionEvent }
  | { readonly kind: 'forward'; readonly to: readonly Source[]; readonly event?: AdmissionEvent }
  | { readonly kind: 'answer'; readonly bytes: Uint8Array; readonly event?: AdmissionEvent };
