import { ManualClock } from '@nexodus/clock';
import { RelayHeartbeat, RelayServiceDefinition } from '@nexodus/contracts/relay';
import { startParts } from '@nexodus/lifecycle';
import { createInProcessMessageBus } from '@nexodus/messaging';
import { createInMemoryClient } from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { createNoopMeter } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { noLanes } from './core/capacity.ts';
import { relayConfig } from './relay-config.ts';
import { createRelayModule } from './relay-module.ts';
import { createRelayService } from './relay-service.ts';

function build() {
  const clock = new ManualClock();
  const bus = createInProcessMessageBus();
  const heartbeats: RelayHeartbeat[] = [];
  bus.subscribe('nexodus.relay.heartbeat', ({ data }) => {
    heartbeats.push(RelayHeartbeat.decode(data));
  });
  const module = createRelayModule({
    config: relayConfig.parse({ region: 'here' }),
    bus,
    clock,
    random: () => 0.5,
    logger: silentLogger,
    meter: createNoopMeter(),
  });
  return { module, clock, heartbeats };
}

test('its heartbeats send agents elsewhere, every 10 s from its start to its stop', async () => {
  const { module, clock, heartbeats } = build();
  const running = await startParts(module.parts);
  clock.advance(20_000);
  await expect.poll(() => heartbeats.length).toBe(3);
  expect(new Set(heartbeats.map(({ instanceId }) => instanceId)).size).toBe(1);
  expect(heartbeats[0]).toMatchObject({ region: 'here', freeSessions: 0n });
  await running.stop();
  expect(clock.pendingTimers).toBe(0);
});

test('it says that it can carry no session', async () => {
  const service = createRelayService(() => noLanes);
  const identity = { service: 'apiserver' };
  const client = createInMemoryClient(RelayServiceDefinition, service, { identity });
  expect(await client.getStatistics({})).toEqual({ capacity: 0n, sessions: 0n });
});

test('it is ready while it runs', async () => {
  const { module } = build();
  await expect(module.checkReady()).rejects.toThrow('not started');
  const running = await startParts(module.parts);
  await module.checkReady();
  await running.stop();
  await expect(module.checkReady()).rejects.toThrow('not started');
});

test('only the apiserver may ask it', () => {
  expect(build().module.internalCallers).toEqual({
    '/nexodus.relay.v1.RelayService/*': ['apiserver'],
  });
});
