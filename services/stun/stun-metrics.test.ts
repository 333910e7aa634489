import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { expect, test } from 'vitest';
import { ignoredOf, observeStun } from './stun-metrics.ts';

/** Collects when a test asks. */
class AskedReader extends MetricReader {
  protected override onForceFlush = () => Promise.resolve();
  protected override onShutdown = () => Promise.resolve();
}

test('datagrams are counted by outcome and reason, and unsent answers apart', async () => {
  const reader = new AskedReader();
  const provider = new MeterProvider({ readers: [reader] });
  const counts = {
    answered: 2,
    refused: 1,
    limited: 1,
    badSource: 1,
    notStun: 0,
    malformed: 0,
    notARequest: 3,
    otherMethod: 0,
    unsent: 1,
  };
  observeStun(provider.getMeter('test'), () => counts);
  const { resourceMetrics } = await reader.collect();
  await provider.shutdown();
  const points = resourceMetrics.scopeMetrics
    .flatMap((scope) => scope.metrics)
    .flatMap(({ descriptor, dataPoints }) =>
      dataPoints.map(({ attributes, value }) => ({ name: descriptor.name, attributes, value })),
    );
  const datagrams = (attributes: object, value: number) => ({
    name: 'nexodus.stun.datagrams',
    attributes,
    value,
  });
  const ignored = (reason: string, value: number) =>
    datagrams({ outcome: 'ignored', reason }, value);
  expect(points).toEqual([
    datagrams({ outcome: 'answered' }, 2),
    datagrams({ outcome: 'refused' }, 1),
    datagrams({ outcome: 'limited' }, 1),
    ignored('source', 1),
    ignored('not-stun', 0),
    ignored('malformed', 0),
    ignored('not-a-request', 3),
    ignored('method', 0),
    { name: 'nexodus.stun.unsent', attributes: {}, value: 1 },
  ]);
  expect(ignoredOf(counts)).toBe(4);
});
