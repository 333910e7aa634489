import { WireGuardPrivateKey } from '@nexodus/wireguard';
import { expect, test } from 'vitest';
import { createDataplane, planDevice } from '../dataplane/index.ts';
import { createMemoryHost } from '../dataplane/memory-host.ts';
import type { KeptView } from '../state/agent-state.ts';
import { generateDeviceKeys } from '../state/device-keys.ts';
import { withdrawDevice } from './withdraw-device.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };

test('a device that may not be used any more keeps neither peers in its tunnel nor a view, not even on a full disk', async () => {
  const host = createMemoryHost();
  const keys = generateDeviceKeys();
  const options = { ...host, privateKey: keys.wireGuard, logger: quiet, now: () => new Date(0) };
  const publicKey = Buffer.from(WireGuardPrivateKey.generate().publicKey).toString('base64');
  const peers = [{ publicKey, addresses: ['100.64.0.7'] }];
  const withdraw = (saveView: () => Promise<void>) =>
    withdrawDevice({
      keys,
      store: { saveView },
      dataplane: createDataplane(options),
      hasTunnel: true,
      listenPort: 0,
    });

  const saved: KeptView[] = [];
  await createDataplane(options).apply(planDevice({ addresses: ['100.64.0.1'], peers }));
  await withdraw(async () => void saved.push({}));
  expect(saved).toEqual([{}, {}]);
  expect(await createDataplane(options).status()).toMatchObject({ peers: [], addresses: [] });

  await createDataplane(options).apply(planDevice({ addresses: ['100.64.0.1'], peers }));
  await expect(withdraw(() => Promise.reject(new Error('disk full')))).rejects.toThrow('disk full');
  expect(await createDataplane(options).status()).toMatchObject({ peers: [], addresses: [] });
});
