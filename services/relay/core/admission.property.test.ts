import { fuzzRuns } from '@nexodus/fuzzing';
import type { SessionSide } from '@nexodus/relay-registration';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messages, observedAt, openAdmission, sourceOf } from './admission.fixture.ts';
import type { Source } from './source.ts';
import type { Verdict } from './verdict.ts';

/** Addresses that a device may have, by side; index by how often it moved. */
const homes = [
  [1, 2, 3].map((port) => sourceOf(`192.0.2.1:${port}`)),
  [1, 2, 3].map((port) => sourceOf(`[2001:db8::2]:${port}`)),
] as const;
const strangers = [1, 2, 3, 4, 5].map((host) => sourceOf(`203.0.113.${host}:6666`));
const same =
  (source: Source) =>
  (other: Source): boolean =>
    Buffer.compare(source, other) === 0;
const isOf = (sources: readonly Source[], source: Source): boolean => sources.some(same(source));
const devices = [...homes[0], ...homes[1]];

/** What may happen, in any order. Strangers are whoever is no device of the session, its members included. */
type Step = { readonly afterMs: number; readonly side: SessionSide; readonly pick: number } & (
  | { readonly kind: 'data' | 'handshake' | 'registration' | 'move' }
  | { readonly kind: 'replay' | 'forged-initiation' | 'forged-response' }
  | { readonly kind: 'noise'; readonly bytes: Uint8Array }
);

const plain = fc.constantFrom(
  'data',
  'handshake',
  'registration',
  'move',
  'replay',
  'replay',
  'forged-initiation',
  'forged-initiation',
  'forged-response',
);
const common = {
  afterMs: fc.integer({ min: 0, max: 1_500 }),
  side: fc.constantFrom<SessionSide[]>(0, 1),
  pick: fc.nat(),
};
const step = fc.oneof(
  { weight: 9, arbitrary: fc.record({ ...common, kind: plain }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...common,
      kind: fc.constant('noise' as const),
      bytes: fc.uint8Array({ maxLength: 160 }),
    }),
  },
) as fc.Arbitrary<Step>;

/** Plays steps against a session: devices that behave as WireGuard's, and strangers who do all they can. */
class Play {
  readonly session = openAdmission();
  readonly seen: { side: SessionSide; bytes: Uint8Array }[] = [];
  readonly at: [Source, Source] = [homes[0][0]!, homes[1][0]!];
  readonly sentBy = new Map<Source, number>();
  readonly receivedBy = new Map<Source, number>();
  readonly verdicts: { source: Source; verdict: Verdict }[] = [];
  nowMs = 0;
  #index = 1;
  #timestamp = 1n;

  arrive(side: SessionSide, source: Source, bytes: Uint8Array): Verdict {
    const verdict = this.session.arrive(side, source, bytes, this.nowMs);
    this.verdicts.push({ source, verdict });
    add(this.sentBy, source, bytes.length);
    if (verdict.kind === 'forward') {
      for (const to of verdict.to) add(this.receivedBy, to, bytes.length);
    }
    if (verdict.kind === 'answer') add(this.receivedBy, source, verdict.bytes.length);
    return verdict;
  }

  register(side: SessionSide): Verdict {
    const source = this.at[side];
    const observed = observedAt(source);
    const timestamp = (this.#timestamp += 1n);
    return this.#fromDevice(side, messages.registration({ side, timestamp, observed }));
  }

  play(step: Step): void {
    this.nowMs += step.afterMs;
    const { side, pick } = step;
    const stranger = strangers[pick % strangers.length]!;
    switch (step.kind) {
      case 'data':
        this.#fromDevice(side, messages.data(pick % 50));
        break;
      case 'handshake':
        this.#handshake(side);
        break;
      case 'registration':
        this.register(side);
        break;
      case 'move':
        this.at[side] = homes[side][pick % 3]!;
        this.register(side);
        break;
      case 'replay': {
        const captured = this.seen[pick % (this.seen.length || 1)];
        if (captured) this.arrive(captured.side, stranger, captured.bytes);
        break;
      }
      case 'forged-initiation':
        this.arrive(side, stranger, messages.initiation(side, pick % 50));
        break;
      case 'forged-response':
        this.arrive(side, stranger, messages.response(side, pick % 50, pick % 50));
        break;
      case 'noise':
        this.arrive(side, stranger, step.bytes);
        break;
    }
  }

  /** A device initiates; the other answers what reaches it, once. */
  #handshake(side: SessionSide): void {
    const other = side === 0 ? 1 : 0;
    const index = (this.#index += 1);
    const verdict = this.#fromDevice(side, messages.initiation(side, index));
    if (verdict.kind !== 'forward' || !isOf(verdict.to, this.at[other])) return;
    this.#fromDevice(other, messages.response(other, (this.#index += 1), index));
  }

  #fromDevice(side: SessionSide, bytes: Uint8Array): Verdict {
    this.seen.push({ side, bytes });
    return this.arrive(side, this.at[side], bytes);
  }
}

function add(totals: Map<Source, number>, source: Source, bytes: number): void {
  totals.set(source, (totals.get(source) ?? 0) + bytes);
}

function lockedIn(play: Play): Source[] {
  return ([0, 1] as const).flatMap((side) => play.session.admission.lockedSource(side) ?? []);
}

describe('whatever strangers do in a session whose devices register', () => {
  test('they receive no byte, take no lock, and keep no device out', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const play = new Play();
        play.register(0);
        play.register(1);
        for (const [index, next] of steps.entries()) {
          play.play(next);
          if (index % 5 !== 4) continue;
          play.register(0);
          play.register(1);
        }
        for (const stranger of strangers) {
          const own = play.verdicts.filter(({ source }) => source === stranger);
          expect(own.some(({ verdict }) => verdict.kind === 'answer')).toBe(false);
          const received = play.verdicts.some(
            ({ verdict }) => verdict.kind === 'forward' && isOf(verdict.to, stranger),
          );
          expect(received).toBe(false);
        }
        for (const source of lockedIn(play)) expect(isOf(devices, source)).toBe(true);
        play.nowMs += 5_000;
        play.at[0] = homes[0][2]!;
        expect(play.register(0).kind).toBe('answer');
        expect(play.session.admission.lockedSource(0)).toEqual(homes[0][2]);
      }),
      { numRuns: 300 },
    );
  });
});

describe('whatever happens before a device registered', () => {
  test('nobody gets back more than it sent, and the devices still lock', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const play = new Play();
        for (const next of steps) {
          if (next.kind !== 'registration' && next.kind !== 'move') play.play(next);
        }
        for (const stranger of strangers.filter((source) => !lockedIn(play).some(same(source)))) {
          const received = total(play.receivedBy, stranger);
          expect(received).toBeLessThanOrEqual(total(play.sentBy, stranger));
        }
        play.nowMs += 5_000;
        for (const side of [0, 1] as const) {
          expect(play.register(side).kind).toBe('answer');
          expect(play.session.admission.lockedSource(side)).toEqual(play.at[side]);
        }
      }),
      { numRuns: 300 },
    );
  });
});

test('any bytes of any length get a verdict', () => {
  const real = fc.constantFrom(
    messages.initiation(0, 1),
    messages.response(0, 1, 1),
    messages.cookieReply(1),
    messages.data(1, 64),
    messages.registration({ side: 0, timestamp: 1n }),
  );
  const mutated = fc
    .tuple(real, fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 20 }))
    .map(([bytes, position, byte, cut]) => {
      const changed = bytes.slice(0, bytes.length - cut);
      changed[position % changed.length] = byte;
      return changed;
    });
  const session = openAdmission();
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), fc.nat(), (bytes, pick) => {
      const source = [...devices, ...strangers][pick % 11]!;
      const { kind } = session.arrive(pick % 2 === 0 ? 0 : 1, source, bytes, pick % 1_000);
      expect(['drop', 'forward', 'answer']).toContain(kind);
    }),
    { numRuns: fuzzRuns(5_000) },
  );
});

function total(totals: Map<Source, number>, source: Source): number {
  return [...totals].reduce((sum, [at, bytes]) => (same(at)(source) ? sum + bytes : sum), 0);
}
