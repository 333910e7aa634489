import { ManualClock } from '@nexodus/clock';
import { silentLogger } from '@nexodus/telemetry';
import { expect, test, vi } from 'vitest';
import type { Enrolment } from '../state/agent-state.ts';
import { generateDeviceKeys } from '../state/device-keys.ts';
import { createBindingKeeper } from './binding-keeper.ts';

const enrolment: Enrolment = {
  serviceUrl: 'https://s:1',
  deviceId: 'd',
  organizationId: 'o',
  vpcId: 'v',
  vpcName: 'default',
  hostname: 'a',
  ipv4Address: '100.64.0.1',
  ipv6Address: 'fd00::1',
  expireAtMs: 2_000_000_000_000,
};

function start() {
  const answers: PromiseWithResolvers<{ revision: bigint }>[] = [];
  const saved: Enrolment[] = [];
  const clock = new ManualClock(1_800_000_000_000);
  const keeper = createBindingKeeper({
    enrolment,
    keys: generateDeviceKeys(),
    client: {
      publishBinding: (_request, options) => {
        const answer = Promise.withResolvers<{ revision: bigint }>();
        options?.signal?.addEventListener('abort', () => answer.reject(new Error('given up')));
        answers.push(answer);
        return answer.promise;
      },
    },
    save: async (next) => void saved.push(next),
    clock,
    logger: silentLogger,
  });
  return { keeper, answers, saved, clock };
}

const published = { vpcId: 'v', serial: 0n };

test('a service that is slow to take the binding is asked once, and nobody waits for it', async () => {
  const { keeper, answers, saved } = start();
  keeper.ensure(published);
  keeper.ensure(published);
  await vi.waitFor(() => expect(answers).toHaveLength(1));
  answers[0]?.resolve({ revision: 1n });
  await vi.waitFor(() => expect(keeper.enrolment.binding?.serial).toBe(1n));
  expect(saved).toHaveLength(1);
  await keeper.stop();
});

test('what failed is tried again after 10 s with the same serial', async () => {
  const { keeper, answers, saved, clock } = start();
  keeper.ensure(published);
  await vi.waitFor(() => expect(answers).toHaveLength(1));
  answers[0]?.reject(new Error('no'));
  await vi.waitFor(() => {
    clock.advance(10_000);
    keeper.ensure(published);
    expect(answers).toHaveLength(2);
  });
  expect(saved.map(({ binding }) => binding?.serial)).toEqual([1n]);
  await keeper.stop();
});

test('stopping gives the attempt up, and nothing is kept afterwards', async () => {
  const { keeper, answers, saved } = start();
  keeper.ensure(published);
  await vi.waitFor(() => expect(answers).toHaveLength(1));
  await keeper.stop();
  keeper.ensure(published);
  expect(answers).toHaveLength(1);
  expect(saved).toHaveLength(1);
});
