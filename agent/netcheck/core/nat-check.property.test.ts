import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judgeNat } from './judge-nat.ts';
import type { NatRequest } from './nat-check.ts';
import { natName } from './nat-verdict.ts';
import { LOCAL_PORT, playNatCheck } from './play-nat-check.fixture.ts';

const server = (number: number) => ({
  at: { address: `198.51.100.${number}`, port: 3_478 },
  other: { address: `198.51.100.${number + 100}`, port: 3_479 },
});
const plain = { at: { address: '192.0.2.1', port: 3_478 } };

const nat = fc.record({
  mapping: fc.constantFrom('eim' as const, 'adm' as const, 'apdm' as const),
  filtering: fc.constantFrom('eif' as const, 'adf' as const, 'apdf' as const),
  isHairpinning: fc.boolean(),
  preservesPorts: fc.boolean(),
});
const servers = fc.constantFrom(
  [server(1)],
  [server(1), plain],
  [plain, server(1)],
  [server(1), server(2), plain],
);

/** Loses up to two of the three attempts of each request, as the numbers say. */
function loses(numbers: readonly number[]) {
  const tries = new Map<number, number>();
  return ({ id }: NatRequest): boolean => {
    const before = tries.get(id) ?? 0;
    tries.set(id, before + 1);
    return before < (numbers[id % numbers.length] ?? 0);
  };
}

test('a check names every kind of NAT, whatever is lost twice, within 4 s', () => {
  const losses = fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 8 });
  const law = fc.property(
    nat,
    servers,
    losses,
    fc.integer({ min: 1, max: 240 }),
    (kind, known, lost, roundTripMs) => {
      const isLost = loses(lost);
      const play = { nat: kind, servers: known, roundTripMs, isLost };
      const { check, endedAtMs } = playNatCheck(play);
      const verdict = judgeNat(check);
      expect(natName(verdict)).toBe(`${kind.mapping}-${kind.filtering}`);
      expect(verdict.hairpin).toBe(kind.isHairpinning ? 'yes' : 'no');
      const isKept = verdict.mapped.every(({ mapped }) => mapped.port === LOCAL_PORT);
      expect(verdict.isPortPreserved).toBe(isKept);
      expect(isKept && !kind.preservesPorts).toBe(false);
      expect(endedAtMs).toBeLessThan(4_000);
    },
  );
  fc.assert(law, { numRuns: 300 });
});
