import { timingSafeEqual } from 'node:crypto';
import { DATAGRAM_MAGIC } from '@nexodus/relay-registration';
import type { ProbePair } from './probe-pair.ts';
import type { ProbePairs } from './probe-pairs.ts';
import {
  isPaddedLength,
  PADDED_MAC_OFFSET,
  PROBE_BYTES,
  type Probe,
  probeOffset,
  probeTypes,
} from './probe.ts';

/**
 * Why bytes are no probe of a peer. `foreign`: not the magic and type of a probe; `malformed`: no length or padding that a
 * probe has; `unknown`: the tag is no peer's; `forged`: the tag is a peer's, the code is not.
 */
export type ProbeRefusal = 'foreign' | 'forged' | 'malformed' | 'unknown';

/** What bytes are. */
export type ProbeVerdict =
  | { readonly ok: true; readonly peerId: string; readonly probe: Probe }
  | { readonly ok: false; readonly refusal: ProbeRefusal };

const refused = {
  foreign: { ok: false, refusal: 'foreign' },
  forged: { ok: false, refusal: 'forged' },
  malformed: { ok: false, refusal: 'malformed' },
  unknown: { ok: false, refusal: 'unknown' },
} as const satisfies Record<ProbeRefusal, ProbeVerdict>;

/**
 * Reads a datagram, finds the peer by the tag and checks the code. Never throws. Bytes of strangers cost a look into a map;
 * only a tag that a peer's probes carry costs an HMAC, one for each pair with that tag. Nothing here keeps replays out: a
 * pong counts once, for a ping whose transaction is waiting for it. Where two pairs have the same keys, which two devices
 * with one disco key would cause, the probe is that of the pair which was added first.
 */
export function readProbe(datagram: Uint8Array, pairs: Pick<ProbePairs, 'withTag'>): ProbeVerdict {
  const kind = kindOf(datagram);
  if (kind === undefined) return refused.foreign;
  if (!hasLengthOf(kind, datagram)) return refused.malformed;
  const known = pairs.withTag(uint32At(datagram, probeOffset.tag));
  if (known === undefined) return refused.unknown;
  for (const { pair, peerId } of known) {
    if (!isAuthentic(kind, datagram, pair)) continue;
    const isSound = datagram.length === PROBE_BYTES || isZeroFrom(datagram, PROBE_BYTES);
    return isSound ? { ok: true, peerId, probe: fieldsOf(kind, datagram) } : refused.malformed;
  }
  return refused.forged;
}

function kindOf(datagram: Uint8Array): Probe['kind'] | undefined {
  if (uint32At(datagram, 0) !== DATAGRAM_MAGIC) return undefined;
  switch (datagram[probeOffset.type]) {
    case probeTypes.ping:
      return 'ping';
    case probeTypes.pong:
      return 'pong';
    case probeTypes['padded-ping']:
      return 'padded-ping';
    case probeTypes['padded-pong']:
      return 'padded-pong';
    default:
      return undefined;
  }
}

function isPadded(kind: Probe['kind']): kind is 'padded-ping' | 'padded-pong' {
  return kind === 'padded-ping' || kind === 'padded-pong';
}

function hasLengthOf(kind: Probe['kind'], datagram: Uint8Array): boolean {
  const told = uint16At(datagram, probeOffset.length);
  if (kind === 'padded-ping') return told === datagram.length && isPaddedLength(told);
  return datagram.length === PROBE_BYTES && (kind !== 'padded-pong' || isPaddedLength(told));
}

function isAuthentic(
  kind: Probe['kind'],
  datagram: Uint8Array,
  { incoming }: Pick<ProbePair, 'incoming'>,
): boolean {
  const offset = isPadded(kind) ? PADDED_MAC_OFFSET : probeOffset.mac;
  const expected = incoming.authenticate(PROBE_BYTES - offset, datagram.subarray(0, offset));
  return timingSafeEqual(expected, datagram.subarray(offset, PROBE_BYTES));
}

function fieldsOf(kind: Probe['kind'], datagram: Uint8Array): Probe {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const transaction = view.getBigUint64(probeOffset.transaction);
  return isPadded(kind)
    ? { kind, transaction, datagramBytes: view.getUint16(probeOffset.length) }
    : { kind, transaction };
}

function isZeroFrom(bytes: Uint8Array, offset: number): boolean {
  return bytes.subarray(offset).every((byte) => byte === 0);
}

function uint16At(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

function uint32At(bytes: Uint8Array, offset: number): number {
  return ((uint16At(bytes, offset) << 16) | uint16At(bytes, offset + 2)) >>> 0;
}
