import { verifyBinding } from '@nexodus/device-identity';
import type { PublishBindingRequest } from '@nexodus/contracts/agent';
import { discoPublicKeyFromBytes, wireGuardPublicKeyFromBytes } from '@nexodus/wireguard';
import { expect, test } from 'vitest';
import type { Enrolment } from '../state/agent-state.ts';
import { generateDeviceKeys } from '../state/device-keys.ts';
import { ensureBinding } from './publish-binding.ts';

const nowMs = 1_800_000_000_000;
const keys = generateDeviceKeys();
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

function publisher() {
  const events: string[] = [];
  const published: NonNullable<PublishBindingRequest['binding']>[] = [];
  return {
    events,
    published,
    options: {
      keys,
      now: () => nowMs,
      keep: async ({ binding }: Enrolment) => {
        events.push(`keep ${binding?.serial}`);
      },
      client: {
        publishBinding: async (request: { binding?: unknown }) => {
          const binding = request.binding as (typeof published)[number]; // what ensureBinding sends
          events.push(`publish ${binding.serial}`);
          published.push(binding);
          return { revision: 1n };
        },
      },
    },
  };
}

test('a new serial is on disk before anybody sees it, and the signature holds', async () => {
  const { events, published, options } = publisher();
  const { enrolment: next, revision } = await ensureBinding(options, enrolment, {
    vpcId: 'v',
    serial: 2n,
  });
  expect(events).toEqual(['keep 3', 'publish 3']);
  expect([next.binding?.serial, revision]).toEqual([3n, 1n]);
  const [binding] = published;
  const verdict = verifyBinding(
    {
      deviceId: 'd',
      vpcId: 'v',
      wireGuardKey: wireGuardPublicKeyFromBytes(binding!.wireguardPublicKey),
      discoKey: discoPublicKeyFromBytes(binding!.discoPublicKey),
      serial: binding!.serial,
      notAfterSeconds: Number(binding!.notAfter),
      signature: binding!.signature,
    },
    keys.device.publicKey,
    new Date(nowMs),
  );
  expect(verdict).toEqual({ ok: true });
});

test('a binding that the service lost is shown again as it was', async () => {
  const first = publisher();
  const { enrolment: held } = await ensureBinding(first.options, enrolment, {
    vpcId: 'v',
    serial: 0n,
  });
  const second = publisher();
  await ensureBinding(second.options, held, { vpcId: 'v', serial: 0n });
  expect(second.events).toEqual(['publish 1']);
  expect(second.published).toEqual(first.published);
});

test('a binding that is current is left alone', async () => {
  const first = publisher();
  const { enrolment: held } = await ensureBinding(first.options, enrolment, {
    vpcId: 'v',
    serial: 0n,
  });
  const second = publisher();
  const ensured = await ensureBinding(second.options, held, { vpcId: 'v', serial: 1n });
  expect(ensured).toEqual({ enrolment: held, revision: 0n });
  expect(second.events).toEqual([]);
});
