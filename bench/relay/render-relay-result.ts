import Table from 'cli-table3';
import { delayP50, delayP99, judge, medianOf, medianRatio, throughput } from './goals.ts';
import { lanes } from './lane/lanes.ts';
import { RATES } from './measure/stream.ts';
import type { LaneMeasurement, RelayBenchResult } from './run-relay-bench.ts';

/** The tables of a run, in plain text. Figures are medians over the rounds; those of each round stand in parentheses. */
export function renderRelayResult(result: RelayBenchResult): string {
  const measured = new Set(result.measurements.map(({ lane }) => lane));
  const names = lanes.map(({ name }) => name).filter((name) => measured.has(name));
  const descriptions = lanes
    .filter(({ name }) => measured.has(name))
    .map(({ name, description }) => `  ${name.padEnd(12)}  ${description}`);
  return [
    'WireGuard through each relay: TCP, processor time per GB that arrived, echoes while idle',
    renderTunnels(result, names),
    ...RATES.map((rate) => renderStreams(result, names, rate)),
    renderPairs(result),
    renderGoals(result),
    'Lanes:',
    ...descriptions,
  ].join('\n');
}

function renderTunnels(result: RelayBenchResult, names: readonly string[]): string {
  const table = newTable([
    'relay',
    'Mbit/s (rounds)',
    'x router',
    'x coturn',
    'relay s/GB',
    'softirq s/GB',
    'ends s/GB',
    'ping p50/p99 ms',
    'retransmits',
  ]);
  for (const name of names) {
    const of = (value: (measurement: LaneMeasurement) => number): number | undefined =>
      medianOf(result, name, value);
    const spent = (part: 'relay' | 'ends' | 'softirq'): string =>
      text(of(({ tunnel }) => tunnel.secondsPerGigabyte[part]) || undefined, 2);
    table.push([
      name,
      `${text(of(throughput), 0)} (${each(result, name, throughput)})`,
      text(medianRatio(result, [name, 'router'], throughput), 2),
      text(medianRatio(result, [name, 'coturn'], throughput), 2),
      spent('relay'),
      spent('softirq'),
      spent('ends'),
      `${text(of(({ tunnel }) => tunnel.pingP50Ms))} / ${text(of(({ tunnel }) => tunnel.pingP99Ms))}`,
      text(
        of(({ tunnel }) => tunnel.retransmits),
        0,
      ),
    ]);
  }
  return table.toString();
}

function renderStreams(result: RelayBenchResult, names: readonly string[], rate: number): string {
  const table = newTable([
    'relay',
    'p50 us (rounds)',
    'p99 us (rounds)',
    'added p50 us',
    'p99 x router',
    'relay us/packet',
    'lost %',
  ]);
  const [p50, p99] = [delayP50(rate), delayP99(rate)];
  const router = medianOf(result, 'router', p50);
  for (const name of names) {
    const streamOf = ({ streams }: LaneMeasurement) =>
      streams.find(({ ratePerSecond }) => ratePerSecond === rate);
    const own = medianOf(result, name, p50);
    const added = own === undefined || router === undefined ? undefined : own - router;
    const lost = medianOf(result, name, (one) => streamOf(one)?.lossRatio);
    table.push([
      name,
      `${text(own, 0)} (${each(result, name, p50)})`,
      `${text(medianOf(result, name, p99), 0)} (${each(result, name, p99)})`,
      text(added, 0),
      text(medianRatio(result, [name, 'router'], p99), 2),
      text(medianOf(result, name, (one) => streamOf(one)?.relayUsPerDatagram)),
      text(lost === undefined ? undefined : lost * 100, 2),
    ]);
  }
  return `Datagrams of 64 bytes, ${rate} a second, one way\n${table.toString()}`;
}

function renderPairs({ pairs }: RelayBenchResult): string {
  const table = newTable(['nftables by', 'pairs present', 'add p50/p99 ms', 'remove p50 ms']);
  for (const { technology, present, addP50Ms, addP99Ms, removeP50Ms } of pairs) {
    const add = `${text(addP50Ms)} / ${text(addP99Ms)}`;
    table.push([technology, String(present), add, text(removeP50Ms)]);
  }
  return `Programming one more pair\n${table.toString()}`;
}

function renderGoals(result: RelayBenchResult): string {
  const table = newTable(['goal', 'reached', '']);
  for (const { goal, text: reached, isMet } of judge(result, RATES)) {
    table.push([goal, reached, isMet ? 'met' : 'MISSED']);
  }
  return `Goals\n${table.toString()}`;
}

function each(
  { measurements }: RelayBenchResult,
  lane: string,
  value: (measurement: LaneMeasurement) => number | undefined,
): string {
  const own = measurements.filter((measurement) => measurement.lane === lane);
  return own.map((measurement) => text(value(measurement), 0)).join(' ');
}

function text(value: number | undefined, digits = 2): string {
  return value === undefined || Number.isNaN(value) ? '-' : value.toFixed(digits);
}

function newTable(head: string[]) {
  const colAligns = head.map((_name, index) => (index === 0 ? 'left' : 'right') as 'left');
  return new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
}
