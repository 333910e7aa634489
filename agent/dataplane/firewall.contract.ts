import { afterEach, describe, expect, test } from 'vitest';
import type { Firewall } from './firewall.ts';

/** A firewall under test. */
export interface FirewallSubject {
  readonly firewall: Firewall;
  /** Changes a rule of the table as a foreign hand would. */
  changeRules(): Promise<void> | void;
  cleanUp(): Promise<void>;
}

const nothing = { ownAddresses: [], peerAddresses: [], peerPrefixes: [] };

/** What every Firewall adapter guarantees. */
export function firewallContract(name: string, makeSubject: () => Promise<FirewallSubject>): void {
  describe(`${name} keeps the contract of Firewall`, () => {
    let subject: FirewallSubject | undefined;
    const setUp = async () => {
      subject = await makeSubject();
      return { firewall: subject.firewall, subject };
    };
    afterEach(async () => {
      await subject?.cleanUp();
      subject = undefined;
    });
    const wanted = {
      ownAddresses: ['100.64.0.1/32', 'fd00::1/128'],
      peerAddresses: ['100.64.0.7/32', 'fd00::7/128'],
      peerPrefixes: ['10.9.0.0/16', 'fd01::/64'],
    };

    test('a table is read as it was installed, and is gone after remove', async () => {
      const { firewall } = await setUp();
      expect(await firewall.read()).toBeNull();
      await firewall.replace(wanted);
      expect(await firewall.read()).toMatchObject({ ...wanted, isIntact: true });
      await firewall.replace(nothing);
      expect(await firewall.read()).toMatchObject({ ...nothing, isIntact: true });
      await firewall.remove();
      await firewall.remove();
      expect(await firewall.read()).toBeNull();
    });

    test('an update changes elements and leaves the rules intact', async () => {
      const { firewall } = await setUp();
      await firewall.replace(nothing);
      await firewall.update({ remove: nothing, add: wanted });
      expect(await firewall.read()).toMatchObject({ ...wanted, isIntact: true });
      const remove = { ...nothing, peerAddresses: ['fd00::7/128'], peerPrefixes: ['10.9.0.0/16'] };
      await firewall.update({ remove, add: { ...nothing, peerAddresses: ['100.64.0.8/32'] } });
      expect(await firewall.read()).toMatchObject({
        peerAddresses: ['100.64.0.7/32', '100.64.0.8/32'],
        peerPrefixes: ['fd01::/64'],
        isIntact: true,
      });
    });

    test('an update that cannot happen whole does not happen at all', async () => {
      const { firewall } = await setUp();
      const update = { remove: { ...nothing, peerAddresses: ['100.64.9.9/32'] }, add: wanted };
      const failed = { reason: 'command-failed' };
      await expect(firewall.update(update)).rejects.toMatchObject(failed);
      await firewall.replace(nothing);
      await expect(firewall.update(update)).rejects.toMatchObject(failed);
      expect(await firewall.read()).toMatchObject(nothing);
    });

    test('changed rules read as not intact until the table is replaced', async () => {
      const { firewall, subject: machine } = await setUp();
      await firewall.replace(wanted);
      await machine.changeRules();
      expect(await firewall.read()).toMatchObject({ ...wanted, isIntact: false });
      await firewall.replace(wanted);
      expect(await firewall.read()).toMatchObject({ ...wanted, isIntact: true });
    });
  });
}
