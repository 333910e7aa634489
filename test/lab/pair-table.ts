import Table from 'cli-table3';
import type { FamilyMeasurement, PairMeasurement } from './measure-pairs.ts';

const HEAD = ['from -> to', 'ping IPv4', 'ping IPv6', 'TCP IPv4', 'TCP IPv6', 'path'] as const;

/** The measurements as a table in plain text, one direction of a pair a line; what failed says so. */
export function renderPairTable(pairs: readonly PairMeasurement[]): string {
  const table = new Table({
    head: [...HEAD],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const { from, to, ipv4, ipv6, path } of pairs) {
    table.push([
      `${from} -> ${to}`,
      pingCell(ipv4),
      pingCell(ipv6),
      throughputCell(ipv4),
      throughputCell(ipv6),
      path === '' ? '-' : path,
    ]);
  }
  return table.toString();
}

function pingCell({ pingMs }: FamilyMeasurement): string {
  return pingMs === undefined ? 'FAILED' : `${pingMs.toFixed(2)} ms`;
}

function throughputCell({ pingMs, megabitsPerSecond }: FamilyMeasurement): string {
  if (megabitsPerSecond !== undefined) return `${Math.round(megabitsPerSecond)} Mbit/s`;
  return pingMs === undefined ? '-' : 'FAILED';
}
