import { socketAddressLength } from '@nexodus/socket-address';
import { isFrom, copySource, type Source, type SourceView } from './source.ts';
import { type BucketLimit, TokenBucket } from './token-bucket.ts';

/** How many unproven sources a side remembers, and for how long. */
export interface CandidateLimits {
  readonly tableSize: number;
  /** Candidates of one IP address; it keeps one host from taking the whole table by its ports. */
  readonly perAddress: number;
  readonly ttlMs: number;
  /** Initiations of one candidate. */
  readonly perSource: BucketLimit;
  /** First initiations of sources that are no candidate yet, all together. */
  readonly newcomers: BucketLimit;
}

/** A source that showed that it knows whom it addresses: a valid mac1, which proves no more than that. */
export interface Candidate {
  readonly source: Source;
  /** Sender index of its last initiation. */
  index: number;
  seenAtMs: number;
  /** Bytes that may be sent to it: never more than it sent, so that a forged source is no amplifier. */
  creditBytes: number;
  readonly bucket: TokenBucket;
}

/**
 * The candidates of one side, each with a slot of its own: whoever can compute a mac1 (every member of the network, and
 * whoever captured an initiation) may add candidates, and cannot overwrite those of others or the locked source's.
 * When the table is full the place goes to the newcomer that is least like a crowd: the oldest candidate of the address
 * with most candidates is forgotten.
 */
export class CandidateTable {
  readonly #limits: CandidateLimits;
  readonly #newcomers: TokenBucket;
  #entries: Candidate[] = [];

  constructor(limits: CandidateLimits) {
    this.#limits = limits;
    this.#newcomers = new TokenBucket(limits.newcomers);
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Notes an initiation; false where its source, or all new ones together, sent too many. */
  note(
    from: SourceView,
    index: number,
    { bytes, nowMs }: { bytes: number; nowMs: number },
  ): boolean {
    this.#forgetOld(nowMs);
    const known = this.#entries.find(({ source }) => isFrom(source, from));
    const candidate = known ?? this.#admit(from, nowMs);
    if (candidate === undefined || !candidate.bucket.take(1, nowMs)) return false;
    candidate.index = index;
    candidate.seenAtMs = nowMs;
    candidate.creditBytes = bytes;
    return true;
  }

  /** The first candidate whose last initiation had this index: who sent a copy of it came later. */
  withIndex(index: number, nowMs: number): Candidate | undefined {
    this.#forgetOld(nowMs);
    return this.#entries.find((candidate) => candidate.index === index);
  }

  /** The candidate at a source. */
  at(from: SourceView, nowMs: number): Candidate | undefined {
    this.#forgetOld(nowMs);
    return this.#entries.find(({ source }) => isFrom(source, from));
  }

  /** Sources that have credit for `bytes`, which it takes from them. */
  spend(bytes: number, nowMs: number): Source[] {
    this.#forgetOld(nowMs);
    const paying = this.#entries.filter(({ creditBytes }) => creditBytes >= bytes);
    for (const candidate of paying) candidate.creditBytes -= bytes;
    return paying.map(({ source }) => source);
  }

  /** Forgets a candidate, because it is locked or was answered. */
  remove(source: Source): void {
    this.#entries = this.#entries.filter((candidate) => candidate.source !== source);
  }

  #admit(from: SourceView, nowMs: number): Candidate | undefined {
    const ofAddress = this.#entries.filter(({ source }) => sameAddress(source, from));
    const isCrowd = ofAddress.length >= this.#limits.perAddress;
    if (!isCrowd && !this.#newcomers.take(1, nowMs)) return undefined;
    // A crowd pays with its own oldest entry, and by its own pace: it takes nothing from other newcomers.
    const [oldest] = ofAddress;
    if (isCrowd && oldest !== undefined) {
      if (!oldest.bucket.take(1, nowMs)) return undefined;
      this.remove(oldest.source);
    } else if (this.#entries.length >= this.#limits.tableSize) {
      this.#forgetOneOfTheLargestCrowd();
    }
    const candidate: Candidate = {
      source: copySource(from),
      index: 0,
      seenAtMs: nowMs,
      creditBytes: 0,
      bucket:
        isCrowd && oldest !== undefined ? oldest.bucket : new TokenBucket(this.#limits.perSource),
    };
    this.#entries.push(candidate);
    return candidate;
  }

  #forgetOneOfTheLargestCrowd(): void {
    const crowd = (candidate: Candidate): number =>
      this.#entries.filter(({ source }) => sameAddress(source, viewOf(candidate))).length;
    const sizes = this.#entries.map(crowd);
    const position = sizes.indexOf(Math.max(...sizes));
    this.#entries = this.#entries.filter((_candidate, index) => index !== position);
  }

  #forgetOld(nowMs: number): void {
    const oldestAtMs = nowMs - this.#limits.ttlMs;
    if (this.#entries.every(({ seenAtMs }) => seenAtMs > oldestAtMs)) return;
    this.#entries = this.#entries.filter(({ seenAtMs }) => seenAtMs > oldestAtMs);
  }
}

function viewOf({ source }: Candidate): SourceView {
  return { bytes: source, offset: 0 };
}

/** Whether two raw socket addresses differ in nothing but the port (bytes 2 and 3). */
function sameAddress(source: Source, { bytes, offset }: SourceView): boolean {
  return source
    .subarray(0, socketAddressLength(source, 0))
    .every((byte, index) => index === 2 || index === 3 || byte === bytes[offset + index]);
}
