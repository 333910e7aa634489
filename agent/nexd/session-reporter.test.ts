import { ManualClock } from '@nexodus/clock';
import { PathKind } from '@nexodus/contracts/agent';
import { EndpointKind } from '@nexodus/contracts/type';
import { expect, test } from 'vitest';
import type { SessionEvent } from '../session/core/session-state.ts';
import { createSessionReporter } from './session-reporter.ts';

function start() {
  const told: SessionEvent['kind'][] = [];
  const clock = new ManualClock(1_000);
  const reporter = createSessionReporter({ tell: ({ kind }) => void told.push(kind) }, clock);
  const at = (address: string) => [{ address, kind: EndpointKind.LOCAL }];
  return { told, clock, reporter, at };
}

test('only other addresses count as a change of the network', () => {
  const { told, reporter, at } = start();
  const paths: [] = [];
  for (const address of ['192.0.2.1:1', '192.0.2.1:1', '192.0.2.2:1']) {
    reporter.report({ endpoints: at(address), paths });
  }
  reporter.report({ endpoints: [], paths });
  reporter.report({ endpoints: at('192.0.2.2:1'), paths });
  const change = ['endpoints', 'network-changed'];
  expect(told).toEqual([...change, ...change, 'endpoints', ...change]);
});

test('paths are told when they change and every 60 s', () => {
  const { told, clock, reporter, at } = start();
  const paths = [
    {
      deviceId: 'd2',
      endpoint: '192.0.2.7:1',
      handshakeAgeSeconds: 1,
      kind: PathKind.DIRECT,
      reason: '',
      relayId: '',
    },
  ];
  const report = { endpoints: at('192.0.2.1:1'), paths };
  reporter.report(report);
  reporter.report(report);
  clock.advance(60_000);
  reporter.report(report);
  expect(told.filter((kind) => kind === 'paths')).toHaveLength(2);
});
