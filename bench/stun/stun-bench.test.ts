import { expect, test } from 'vitest';
import { renderStunTable } from './stun-bench.ts';

const measured = (server: string, round: number, answersPerSecond: number) => ({
  server,
  round,
  answersPerSecond,
  cpuMicrosPerAnswer: 1e6 / answersPerSecond,
  serverUse: 0.99,
  loadUse: 0.8,
});

test('a server is compared with the better peer of its own round, then the middle round counts', () => {
  const table = renderStunTable([
    measured('coturn -m 0', 1, 100_000),
    measured('coturn -m 1', 1, 50_000),
    measured('ours, koffi', 1, 200_000),
    measured('coturn -m 0', 2, 10_000),
    measured('coturn -m 1', 2, 20_000),
    measured('ours, koffi', 2, 60_000),
    measured('coturn -m 0', 3, 100_000),
    measured('coturn -m 1', 3, 100_000),
    measured('ours, koffi', 3, 10_000),
  ]);
  const cells = table
    .split('\n')
    .find((line) => line.includes('ours, koffi'))
    ?.split('│')
    .map((cell) => cell.trim());
  expect(cells?.slice(1, -1)).toEqual(['ours, koffi', '60,000', '2.00x', '16.67', '99 %', '80 %']);
  expect(table).toContain('3 rounds');
});
