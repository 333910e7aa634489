import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { expect, test } from 'vitest';
import { createStunMetrics } from './stun-metrics.ts';

/** Collects when a test asks. */
class AskedReader extends MetricReader {
  protected override onForceFlush = () => Promise.resolve();
  protected override onShutdown = () => Promise.resolve();
}

test('datagrams are counted by outcome and reason, and unsent answers apart', async () => {
  const reader = new AskedReader();
  const provider = new MeterProvider({ readers: [reader] });
  const metrics = createStunMetrics(provider.getMeter('test'));
  const reply = new Uint8Array();
  metrics.decided({ kind: 'answered', reply });
  metrics.decided({ kind: 'answered', reply });
  metrics.decided({ kind: 'refused', reply });
  metrics.decided({ kind: 'limited' });
  metrics.decided({ kind: 'ignored', reason: 'source' });
  metrics.unsent();
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
  expect(points).toEqual([
    datagrams({ outcome: 'answered' }, 2),
    datagrams({ outcome: 'refused' }, 1),
    datagrams({ outcome: 'limited' }, 1),
    datagrams({ outcome: 'ignored', reason: 'source' }, 1),
    { name: 'nexodus.stun.unsent', attributes: {}, value: 1 },
  ]);
  expect(metrics.counts).toEqual({ answered: 2, refused: 1, limited: 1, ignored: 1 });
});
