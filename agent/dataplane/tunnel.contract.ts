import { WireGuardPrivateKey, formatX25519PublicKey } from '@nexodus/wireguard';
import { afterEach, describe, expect, test } from 'vitest';
import type { Tunnel } from './tunnel.ts';

/** A place for tunnels under test. */
export interface TunnelSubject {
  /** A new adapter for the same interface, as a restarted nexd would make. */
  open(): Promise<Tunnel> | Tunnel;
  /** Makes something else own the interface's name. */
  takeInterface(): Promise<void> | void;
  /** Binds a UDP port and returns its number. */
  takePort(): Promise<number> | number;
  cleanUp(): Promise<void>;
}

/** What every Tunnel adapter guarantees. */
export function tunnelContract(name: string, makeSubject: () => Promise<TunnelSubject>): void {
  describe(`${name} keeps the contract of Tunnel`, () => {
    let subject: TunnelSubject | undefined;
    const setUp = async () => {
      subject = await makeSubject();
      return { subject, tunnel: await subject.open(), privateKey: WireGuardPrivateKey.generate() };
    };
    afterEach(async () => {
      await subject?.cleanUp();
      subject = undefined;
    });

    test('there is nothing to read before create and after remove', async () => {
      const { tunnel, privateKey } = await setUp();
      expect(await tunnel.read()).toBeNull();
      expect(await tunnel.adopt(privateKey)).toBe(false);
      await tunnel.create({ privateKey, listenPort: 0 });
      expect(await tunnel.read()).toMatchObject({ peers: [] });
      await tunnel.remove();
      await tunnel.remove();
      expect(await tunnel.read()).toBeNull();
    });

    test('peers are created, replaced whole and removed, and an absent endpoint is kept', async () => {
      const { tunnel, privateKey } = await setUp();
      await tunnel.create({ privateKey, listenPort: 0 });
      const [one, two] = [newPublicKey(), newPublicKey()];
      const endpoint = '192.0.2.7:51820';
      const first = { publicKey: one, allowedIps: ['100.64.0.7/32', 'fd00::7/128'], endpoint };
      const set = [
        { ...first, persistentKeepaliveSeconds: 25 },
        { publicKey: two, allowedIps: [], persistentKeepaliveSeconds: 0 },
      ];
      await tunnel.applyPeerChanges({ remove: [newPublicKey()], set });
      const change = { publicKey: one, allowedIps: ['fd00::7/128'], persistentKeepaliveSeconds: 0 };
      await tunnel.applyPeerChanges({ remove: [two], set: [change] });
      expect((await tunnel.read())?.peers).toEqual([
        { ...change, endpoint, latestHandshakeAt: null, rxBytes: 0, txBytes: 0 },
      ]);
    });

    test('a peer that is removed and set again is there', async () => {
      const { tunnel, privateKey } = await setUp();
      await tunnel.create({ privateKey, listenPort: 0 });
      const peer = { publicKey: newPublicKey(), allowedIps: ['100.64.0.7/32'] };
      const set = [{ ...peer, persistentKeepaliveSeconds: 0 }];
      await tunnel.applyPeerChanges({ remove: [], set });
      await tunnel.applyPeerChanges({ remove: [peer.publicKey], set: [] });
      expect((await tunnel.read())?.peers).toEqual([]);
      await tunnel.applyPeerChanges({ remove: [], set });
      expect((await tunnel.read())?.peers).toMatchObject([peer]);
      await tunnel.applyPeerChanges({ remove: [peer.publicKey], set });
      expect((await tunnel.read())?.peers).toMatchObject([peer]);
    });

    test('a prefix given to one peer leaves the peer that had it', async () => {
      const { tunnel, privateKey } = await setUp();
      await tunnel.create({ privateKey, listenPort: 0 });
      for (const publicKey of [newPublicKey(), newPublicKey()]) {
        const peer = { publicKey, allowedIps: ['100.64.0.7/32'], persistentKeepaliveSeconds: 0 };
        await tunnel.applyPeerChanges({ remove: [], set: [peer] });
      }
      const held = (await tunnel.read())?.peers.flatMap((peer) => peer.allowedIps);
      expect(held).toEqual(['100.64.0.7/32']);
    });

    test('a later process with the same key adopts the tunnel with its peers', async () => {
      const { subject: place, tunnel, privateKey } = await setUp();
      await tunnel.create({ privateKey, listenPort: 0 });
      const peer = { publicKey: newPublicKey(), allowedIps: ['100.64.0.7/32'] };
      const set = [{ ...peer, persistentKeepaliveSeconds: 0 }];
      await tunnel.applyPeerChanges({ remove: [], set });
      const later = await place.open();
      expect(await later.adopt(privateKey)).toBe(true);
      expect((await later.read())?.peers).toMatchObject([peer]);
    });

    test('a tunnel with another key is refused and left as it is', async () => {
      const { subject: place, tunnel, privateKey } = await setUp();
      await tunnel.create({ privateKey, listenPort: 0 });
      const later = await place.open();
      const taken = { reason: 'interface-taken' };
      const foreign = WireGuardPrivateKey.generate();
      await expect(later.adopt(foreign)).rejects.toMatchObject(taken);
      const created = later.create({ privateKey: foreign, listenPort: 0 });
      await expect(created).rejects.toMatchObject(taken);
      expect(await later.adopt(privateKey)).toBe(true);
    });

    test('an interface that is not ours is neither used nor read nor removed', async () => {
      const { subject: place, tunnel, privateKey } = await setUp();
      await place.takeInterface();
      const taken = { reason: 'interface-taken' };
      await expect(tunnel.create({ privateKey, listenPort: 0 })).rejects.toMatchObject(taken);
      await expect(tunnel.adopt(privateKey)).rejects.toMatchObject(taken);
      expect(await tunnel.read()).toBeNull();
      await expect(tunnel.remove()).rejects.toMatchObject(taken);
    });

    test('a port that is taken is refused, and nothing remains of the attempt', async () => {
      const { subject: place, tunnel, privateKey } = await setUp();
      const listenPort = await place.takePort();
      const refused = tunnel.create({ privateKey, listenPort });
      await expect(refused).rejects.toMatchObject({ reason: 'port-taken' });
      expect(await tunnel.read()).toBeNull();
      await tunnel.create({ privateKey, listenPort: 0 });
      const moved = tunnel.setListenPort(listenPort);
      await expect(moved).rejects.toMatchObject({ reason: 'port-taken' });
    });
  });
}

function newPublicKey(): string {
  return formatX25519PublicKey(WireGuardPrivateKey.generate().publicKey);
}
