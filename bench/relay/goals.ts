import { median } from '../median.ts';
import type { LaneMeasurement, RelayBenchResult } from './run-relay-bench.ts';

/** A goal and what was reached. */
export interface GoalOutcome {
  readonly goal: string;
  readonly reached: number;
  /** How `reached` is written. */
  readonly text: string;
  readonly isMet: boolean;
}

/** Medians over the rounds of one lane; undefined where it was not measured. */
export function medianOf(
  { measurements }: RelayBenchResult,
  lane: string,
  value: (measurement: LaneMeasurement) => number | undefined,
): number | undefined {
  const values = measurements
    .filter((measurement) => measurement.lane === lane)
    .map(value)
    .filter((one) => one !== undefined);
  return values.length === 0 ? undefined : median(values);
}

/** Median over the rounds of a lane's ratio to another of the same round; undefined where one was not measured. */
export function medianRatio(
  { measurements }: RelayBenchResult,
  pair: readonly [lane: string, other: string],
  value: (measurement: LaneMeasurement) => number | undefined,
): number | undefined {
  const [lane, other] = pair.map((name) =>
    measurements.filter((measurement) => measurement.lane === name),
  );
  const ratios = (lane ?? []).flatMap((measurement) => {
    const beside = other?.find(({ round }) => round === measurement.round);
    const [top, bottom] = [value(measurement), beside && value(beside)];
    return top === undefined || bottom === undefined ? [] : [top / bottom];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}

/** The rate of TCP. */
export const throughput = ({ tunnel }: LaneMeasurement): number => tunnel.megabitsPerSecond;

/** The delay of half of the datagrams of a stream, in microseconds. */
export const delayP50 =
  (ratePerSecond: number) =>
  ({ streams }: LaneMeasurement): number | undefined =>
    streams.find((stream) => stream.ratePerSecond === ratePerSecond)?.p50Us;

/** The delay that 99 of 100 datagrams of a stream do not exceed, in microseconds. */
export const delayP99 =
  (ratePerSecond: number) =>
  ({ streams }: LaneMeasurement): number | undefined =>
    streams.find((stream) => stream.ratePerSecond === ratePerSecond)?.p99Us;

/** The project's goals, as far as their lanes were measured. */
export function judge(result: RelayBenchResult, rates: readonly number[]): readonly GoalOutcome[] {
  const ratio = (lane: string, other: string) => medianRatio(result, [lane, other], throughput);
  return [
    atLeast('nft: TCP of the router', 0.95, { value: ratio('nft', 'router'), unit: 'x' }),
    atLeast('nft: TCP of coturn', 3.5, { value: ratio('nft', 'coturn'), unit: 'x' }),
    ...rates.flatMap((rate) => [
      atMost(`nft: added p50 at ${rate}/s`, 10, { value: addedP50(result, rate), unit: ' us' }),
      atMost(`nft: p99 of the router's at ${rate}/s`, 1.2, {
        value: medianRatio(result, ['nft', 'router'], delayP99(rate)),
        unit: 'x',
      }),
    ]),
    atLeast('koffi: TCP of coturn', 2, { value: ratio('koffi', 'coturn'), unit: 'x' }),
    atLeast('tls: TCP', 350, { value: medianOf(result, 'tls', throughput), unit: ' Mbit/s' }),
  ].filter((outcome) => outcome !== undefined);
}

function addedP50(result: RelayBenchResult, rate: number): number | undefined {
  const [nft, router] = ['nft', 'router'].map((lane) => medianOf(result, lane, delayP50(rate)));
  return nft === undefined || router === undefined ? undefined : nft - router;
}

interface Reached {
  readonly value: number | undefined;
  readonly unit: string;
}

function atLeast(what: string, bound: number, reached: Reached): GoalOutcome | undefined {
  return outcome(`${what} >= ${bound}${reached.unit}`, reached, (value) => value >= bound);
}

function atMost(what: string, bound: number, reached: Reached): GoalOutcome | undefined {
  return outcome(`${what} <= ${bound}${reached.unit}`, reached, (value) => value <= bound);
}

function outcome(
  goal: string,
  { value, unit }: Reached,
  isMet: (value: number) => boolean,
): GoalOutcome | undefined {
  if (value === undefined) return undefined;
  const digits = Math.abs(value) < 10 ? 2 : 0;
  return { goal, reached: value, text: `${value.toFixed(digits)}${unit}`, isMet: isMet(value) };
}
