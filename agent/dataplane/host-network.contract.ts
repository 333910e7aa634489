import { afterEach, describe, expect, test, vi } from 'vitest';
import type { HostNetwork } from './host-network.ts';

/** A machine with a tunnel interface (down, without addresses) under test. */
export interface HostNetworkSubject {
  readonly network: HostNetwork;
  /** Joins the machine to a network by another interface with this address. */
  joinNetwork(address: string, prefixLength: number): Promise<void> | void;
  removeInterface(): Promise<void> | void;
  cleanUp(): Promise<void>;
}

/** What every HostNetwork adapter guarantees. */
export function hostNetworkContract(
  name: string,
  makeSubject: () => Promise<HostNetworkSubject>,
): void {
  describe(`${name} keeps the contract of HostNetwork`, () => {
    let subject: HostNetworkSubject | undefined;
    const setUp = async () => {
      subject = await makeSubject();
      return { ...subject, subject };
    };
    afterEach(async () => {
      await subject?.cleanUp();
      subject = undefined;
    });
    const addresses = ['100.64.0.1/32', 'fd00::1/128'];
    const routes = ['100.64.0.7/32', '10.9.0.0/16', 'fd00::7/128'];

    test('what is added is read back, once, and goes when removed', async () => {
      const { network } = await setUp();
      const wanted = {
        mtuBytes: 1280,
        addAddresses: addresses,
        up: true,
        addRoutes: routes,
      } as const;
      await network.change(wanted);
      await network.change(wanted);
      const reading = await network.read();
      expect(reading).toMatchObject({ mtuBytes: 1280, isUp: true });
      expect(reading?.addresses.toSorted()).toEqual(addresses.toSorted());
      expect(reading?.routes.toSorted()).toEqual(routes.toSorted());
      await network.change({ removeRoutes: routes, removeAddresses: addresses });
      expect(await network.read()).toMatchObject({ addresses: [], routes: [] });
    });

    test('there is nothing to read without the interface', async () => {
      const { network, subject: machine } = await setUp();
      await machine.removeInterface();
      expect(await network.read()).toBeNull();
      const change = network.change({ mtuBytes: 1280 });
      await expect(change).rejects.toMatchObject({ name: 'DataplaneError' });
    });

    test('other interfaces give on-link prefixes and candidates, the tunnel gives neither', async () => {
      const { network, subject: machine } = await setUp();
      await network.change({ addAddresses: addresses, up: true });
      expect(await network.onLinkPrefixes()).toEqual([]);
      expect(await network.localAddresses()).toEqual([]);
      await machine.joinNetwork('192.0.2.5', 24);
      const onLink = await network.onLinkPrefixes();
      expect(onLink.map(({ prefix }) => prefix)).toEqual(['192.0.2.0/24']);
      const local = await network.localAddresses();
      expect(local.map(({ address }) => address)).toEqual(['192.0.2.5']);
    });

    test('a watcher hears of changes until it stops', async () => {
      const { network } = await setUp();
      const stop = new AbortController();
      const heard = vi.fn<() => void>();
      const watching = network.watch(heard, stop.signal);
      await vi.waitFor(
        async () => {
          const isAdded = (await network.read())?.addresses.includes('100.64.0.1/32');
          const change = isAdded === true ? 'removeAddresses' : 'addAddresses';
          await network.change({ [change]: ['100.64.0.1/32'] });
          expect(heard).toHaveBeenCalled();
        },
        { timeout: 10_000 },
      );
      stop.abort();
      await watching;
    });
  });
}
