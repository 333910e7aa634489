import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { expect, test } from 'vitest';
import { createTlsLaneMetrics } from './tls-lane-metrics.ts';

/** Collects when a test asks. */
class AskedReader extends MetricReader {
  protected override onForceFlush = () => Promise.resolve();
  protected override onShutdown = () => Promise.resolve();
}

test('what happens on the lane is counted by reason and outcome', async () => {
  const reader = new AskedReader();
  const provider = new MeterProvider({ readers: [reader] });
  const metrics = createTlsLaneMetrics(provider.getMeter('test'));
  metrics.admitted();
  metrics.refused('not-admitted');
  metrics.departed('left');
  metrics.packets('forwarded', 3, 4_200);
  metrics.packets('refused', 2);
  const { resourceMetrics } = await reader.collect();
  await provider.shutdown();
  const points = resourceMetrics.scopeMetrics
    .flatMap((scope) => scope.metrics)
    .flatMap(({ descriptor, dataPoints }) =>
      dataPoints.map(({ attributes, value }) => [
        descriptor.name,
        Object.values(attributes)[0],
        value,
      ]),
    );
  expect(points.filter(([, , value]) => value !== 0)).toEqual([
    ['nexodus.relay.tls.refusals', 'not-admitted', 1],
    ['nexodus.relay.tls.departures', 'left', 1],
    ['nexodus.relay.tls.packets', 'forwarded', 3],
    ['nexodus.relay.tls.packets', 'refused', 2],
    ['nexodus.relay.tls.admissions', undefined, 1],
    ['nexodus.relay.tls.forwarded', undefined, 4_200],
  ]);
});
