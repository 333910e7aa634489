import fc from 'fast-check';
import { WireGuardPrivateKey, formatX25519PublicKey } from '@nexodus/wireguard';
import { expect, test } from 'vitest';
import { applyOperations } from '../apply-operations.ts';
import { createMemoryHost } from '../memory-host.ts';
import type { MemoryHost } from '../memory-host.ts';
import type { DataplaneState } from './dataplane-state.ts';
import { planDevice } from './device-plan.ts';
import type { DevicePlan } from './device-plan.ts';
import { diffPlan } from './diff-plan.ts';
import type { Operation } from './operation.ts';
import { within, without } from './text-set.ts';

const privateKey = WireGuardPrivateKey.generate();
const publicKeys = Array.from({ length: 6 }, () =>
  formatX25519PublicKey(WireGuardPrivateKey.generate().publicKey),
);

/** Few keys, addresses and endpoints, so that plans share, swap and reuse them. */
const plans: fc.Arbitrary<DevicePlan> = fc
  .record({
    own: fc.constantFrom(1, 2),
    mtuBytes: fc.constantFrom(1280, 1400),
    listenPort: fc.constantFrom(0, 51_820, 51_821),
    policy: fc.constantFrom('peers', 'drop-all'),
    shown: fc.uniqueArray(fc.nat(5), { maxLength: 6 }),
    hosts: fc.shuffledSubarray([10, 11, 12, 13, 14, 15], { minLength: 6 }),
    nets: fc.array(fc.option(fc.constantFrom('peer', 'none')), { minLength: 6, maxLength: 6 }),
    endpoints: fc.array(fc.option(fc.nat(2), { nil: undefined }), { minLength: 6, maxLength: 6 }),
    keepalive: fc.constantFrom(0, 25),
  })
  .map(({ own, shown, hosts, nets, endpoints, keepalive, ...settings }) =>
    planDevice({
      ...settings,
      addresses: [`100.64.0.${own}`, `fd00::${own}`],
      peers: shown.map((index) => ({
        publicKey: publicKeys[index] ?? '',
        addresses: [`100.64.0.${hosts[index]}`, `fd00::${hosts[index]}`],
        prefixes: nets[index] === 'peer' ? [`10.${hosts[index]}.0.0/16`] : [],
        endpoint: endpoints[index] === undefined ? undefined : `192.0.2.${endpoints[index]}:51820`,
        persistentKeepaliveSeconds: keepalive,
      })),
    }),
  );

async function observe({ tunnel, network, firewall }: MemoryHost): Promise<DataplaneState> {
  const [link, held] = [await network.read(), await tunnel.read()];
  return {
    link: link && held && { ...link, listenPort: held.listenPort },
    addresses: link?.addresses ?? [],
    peers: (held?.peers ?? []).map(({ publicKey, allowedIps, endpoint, ...peer }) => ({
      publicKey,
      allowedIps,
      endpoint,
      persistentKeepaliveSeconds: peer.persistentKeepaliveSeconds,
    })),
    routes: link?.routes ?? [],
    firewall: await firewall.read(),
  };
}

async function apply(host: MemoryHost, operations: readonly Operation[]): Promise<void> {
  await applyOperations(operations, { ...host, privateKey });
}

async function hostWith(plan: DevicePlan): Promise<MemoryHost> {
  const host = createMemoryHost();
  await apply(host, diffPlan(await observe(host), plan));
  return host;
}

function holdings(state: DataplaneState) {
  return {
    firewall: [
      ...(state.firewall?.peerAddresses ?? []),
      ...(state.firewall?.peerPrefixes ?? []),
    ].toSorted(),
    addresses: state.addresses.toSorted(),
    routes: state.routes.toSorted(),
    peers: state.peers
      .map((peer) => `${peer.publicKey} ${peer.allowedIps.toSorted().join(' ')}`)
      .toSorted(),
  };
}

test('applying the difference to what is gives what is wanted', async () => {
  await fc.assert(
    fc.asyncProperty(plans, plans, async (before, wanted) => {
      const host = await hostWith(before);
      await apply(host, diffPlan(await observe(host), wanted));
      const state = await observe(host);
      expect(holdings(state)).toEqual(
        holdings({ ...wanted, link: null, firewall: { ...wanted.firewall, isIntact: true } }),
      );
      expect(state.link).toMatchObject({ mtuBytes: wanted.mtuBytes, isUp: true });
      for (const peer of wanted.peers.filter(({ endpoint }) => endpoint !== undefined)) {
        expect(state.peers).toContainEqual(
          expect.objectContaining({ publicKey: peer.publicKey, endpoint: peer.endpoint }),
        );
      }
    }),
  );
});

test('there is no difference to what was just applied', async () => {
  await fc.assert(
    fc.asyncProperty(plans, plans, async (before, wanted) => {
      const host = await hostWith(before);
      await apply(host, diffPlan(await observe(host), wanted));
      expect(diffPlan(await observe(host), wanted)).toEqual([]);
    }),
  );
});

test('wherever the operations stop, nothing is admitted but what was and stays wanted', async () => {
  await fc.assert(
    fc.asyncProperty(plans, plans, fc.nat(12), async (before, wanted, stopAfter) => {
      const host = await hostWith(before);
      const held = await observe(host);
      const operations = diffPlan(held, wanted);
      fc.pre(operations.length >= 2);
      const done = Math.min(Math.max(1, stopAfter), operations.length - 1);
      await apply(host, operations.slice(0, done));
      const admitted = (await observe(host)).firewall?.peerAddresses ?? [];
      const stays = within(held.firewall?.peerAddresses ?? [], wanted.firewall.peerAddresses);
      expect(without(admitted, stays)).toEqual([]);
    }),
  );
});

test('nothing withdrawn outlives the tightening phase', async () => {
  await fc.assert(
    fc.asyncProperty(plans, plans, async (before, wanted) => {
      const host = await hostWith(before);
      const operations = diffPlan(await observe(host), wanted);
      await apply(
        host,
        operations.filter(({ phase }) => phase === 'tighten'),
      );
      const state = await observe(host);
      const allowed = new Map(wanted.peers.map((peer) => [peer.publicKey, peer.allowedIps]));
      expect(without(state.routes, wanted.routes)).toEqual([]);
      for (const peer of state.peers) {
        expect(without(peer.allowedIps, allowed.get(peer.publicKey) ?? [])).toEqual([]);
        expect(allowed.has(peer.publicKey)).toBe(true);
      }
    }),
  );
});

test('the firewall is installed first and opened last', async () => {
  await fc.assert(
    fc.asyncProperty(plans, async (wanted) => {
      const operations = diffPlan(await observe(createMemoryHost()), wanted);
      expect(operations[0]).toMatchObject({
        kind: 'firewall-replace',
        firewall: { peerAddresses: [], peerPrefixes: [] },
      });
      const opens = operations.findIndex(({ phase }) => phase === 'loosen');
      expect([-1, operations.length - 1]).toContain(opens);
    }),
  );
});
