import type { SoftStateRecord } from './soft-state-record.ts';

/** Bytes that are no envelope of this version. */
export class InvalidEnvelopeError extends Error {
  constructor(reason: string) {
    super(`not a soft-state envelope: ${reason}`);
    this.name = 'InvalidEnvelopeError';
  }
}

/**
 * The envelope, big-endian: version (1 byte), live (1 byte, 0 or 1), epoch (8), sequence (8), lease end in milliseconds
 * since the Unix epoch (8), then the value.
 */
const VERSION = 1;
const HEADER_BYTES = 26;
const LIVE_OFFSET = 1;
const EPOCH_OFFSET = 2;
const SEQUENCE_OFFSET = 10;
const LEASE_OFFSET = 18;

/** Writes a record as bytes. */
export function encodeEnvelope(record: SoftStateRecord): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + record.value.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, VERSION);
  view.setUint8(LIVE_OFFSET, record.isLive ? 1 : 0);
  view.setBigUint64(EPOCH_OFFSET, record.epoch);
  view.setBigUint64(SEQUENCE_OFFSET, record.sequence);
  view.setBigUint64(LEASE_OFFSET, BigInt(record.leaseUntil));
  bytes.set(record.value, HEADER_BYTES);
  return bytes;
}

/** @throws InvalidEnvelopeError */
export function parseEnvelope(bytes: Uint8Array): SoftStateRecord {
  if (bytes.length < HEADER_BYTES) throw new InvalidEnvelopeError(`${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const live = view.getUint8(LIVE_OFFSET);
  const leaseUntil = Number(view.getBigUint64(LEASE_OFFSET));
  if (view.getUint8(0) !== VERSION) throw new InvalidEnvelopeError(`version ${view.getUint8(0)}`);
  if (live > 1) throw new InvalidEnvelopeError(`live flag ${live}`);
  if (!Number.isSafeInteger(leaseUntil)) throw new InvalidEnvelopeError('lease end out of range');
  return {
    isLive: live === 1,
    epoch: view.getBigUint64(EPOCH_OFFSET),
    sequence: view.getBigUint64(SEQUENCE_OFFSET),
    leaseUntil,
    value: new Uint8Array(bytes.subarray(HEADER_BYTES)),
  };
}
