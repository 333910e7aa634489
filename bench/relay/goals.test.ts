import { expect, test } from 'vitest';
import { judge, medianRatio, throughput } from './goals.ts';
import type { LaneMeasurement, RelayBenchResult } from './run-relay-bench.ts';

const measured = (lane: string, round: number, figures: Partial<Figures>): LaneMeasurement => {
  const { megabitsPerSecond = 1_000, p50Us = 50, p99Us = 100 } = figures;
  return {
    lane,
    round,
    tunnel: {
      megabitsPerSecond,
      retransmits: 0,
      secondsPerGigabyte: { relay: 1, ends: 0, softirq: 1 },
      pingP50Ms: 1,
      pingP99Ms: 2,
    },
    streams: [{ ratePerSecond: 10_000, lossRatio: 0, p50Us, p99Us, relayUsPerDatagram: undefined }],
  };
};
const result = (...measurements: LaneMeasurement[]): RelayBenchResult => ({
  measurements,
  pairs: [],
});

/** What the tests change. */
interface Figures {
  readonly megabitsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

test('a ratio is taken within each round, and the median of these counts', () => {
  const two = result(
    measured('nft', 1, { megabitsPerSecond: 900 }),
    measured('router', 1, { megabitsPerSecond: 1_000 }),
    measured('nft', 2, { megabitsPerSecond: 2_000 }),
    measured('router', 2, { megabitsPerSecond: 2_000 }),
    measured('nft', 3, { megabitsPerSecond: 400 }),
    measured('router', 3, { megabitsPerSecond: 200 }),
  );
  expect(medianRatio(two, ['nft', 'router'], throughput)).toBe(1);
});

test('a lane that was not measured has no ratio and no goal', () => {
  const alone = result(measured('nft', 1, {}));
  expect(medianRatio(alone, ['nft', 'router'], throughput)).toBeUndefined();
  expect(judge(alone, [10_000])).toEqual([]);
});

test('each goal says what was reached and whether that is enough', () => {
  const all = result(
    measured('router', 1, { megabitsPerSecond: 2_500, p50Us: 50, p99Us: 100 }),
    measured('nft', 1, { megabitsPerSecond: 2_400, p50Us: 61, p99Us: 119 }),
    measured('koffi', 1, { megabitsPerSecond: 1_400 }),
    measured('tls', 1, { megabitsPerSecond: 349 }),
    measured('coturn', 1, { megabitsPerSecond: 700 }),
  );
  const outcomes = judge(all, [10_000]);
  expect(outcomes.map(({ goal, text, isMet }) => [goal, text, isMet])).toEqual([
    ['nft: TCP of the router >= 0.95x', '0.96x', true],
    ['nft: TCP of coturn >= 3.5x', '3.43x', false],
    ['nft: added p50 at 10000/s <= 10 us', '11 us', false],
    ["nft: p99 of the router's at 10000/s <= 1.2x", '1.19x', true],
    ['koffi: TCP of coturn >= 2x', '2.00x', true],
    ['tls: TCP >= 350 Mbit/s', '349 Mbit/s', false],
  ]);
});
