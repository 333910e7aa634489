import {
  EntryValue,
  type PeerEntry,
  type SelfEntry,
  type ViewEntry,
} from '@nexodus/contracts/agent';

const PEER_PREFIX = 'peer/';

/** Key of the entry that describes the device itself. */
export const selfKey = 'self';

/** Key of the entry of a peer. */
export function peerKey(deviceId: string): string {
  return `${PEER_PREFIX}${deviceId}`;
}

/**
 * What an entry says. `unknown`: a kind of a newer service, kept for the digest and otherwise ignored; `malformed`: not
 * decodable, or a value that does not belong under its key.
 */
export type DecodedEntry =
  | { readonly kind: 'self'; readonly self: SelfEntry }
  | { readonly kind: 'peer'; readonly peer: PeerEntry }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'malformed' };

/** The entry that describes the device itself. The same entry always gives the same bytes. */
export function encodeSelfEntry(self: SelfEntry): ViewEntry {
  return { key: selfKey, value: encode({ $case: 'self', value: self }) };
}

/** The entry of a peer. The same entry always gives the same bytes, whichever device it goes to. */
export function encodePeerEntry(peer: PeerEntry): ViewEntry {
  return { key: peerKey(peer.deviceId), value: encode({ $case: 'peer', value: peer }) };
}

/** The entry that removes a key. */
export function removalOf(key: string): ViewEntry {
  return { key, value: Buffer.alloc(0) };
}

/** Reads an entry. Never throws. */
export function decodeEntry(key: string, value: Uint8Array): DecodedEntry {
  const kind = decodeKind(value);
  if (kind === 'malformed') return { kind };
  if (kind?.$case === 'self') {
    return key === selfKey ? { kind: 'self', self: kind.value } : { kind: 'malformed' };
  }
  if (kind?.$case === 'peer') {
    const belongs = key === peerKey(kind.value.deviceId) && kind.value.deviceId !== '';
    return belongs ? { kind: 'peer', peer: kind.value } : { kind: 'malformed' };
  }
  const isKnownKey = key === selfKey || key.startsWith(PEER_PREFIX);
  return { kind: isKnownKey ? 'malformed' : 'unknown' };
}

function encode(kind: NonNullable<EntryValue['kind']>): Buffer {
  return Buffer.from(EntryValue.encode({ kind }).finish());
}

function decodeKind(value: Uint8Array): EntryValue['kind'] | 'malformed' {
  try {
    return EntryValue.decode(value).kind;
  } catch {
    return 'malformed';
  }
}
