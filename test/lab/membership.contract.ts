import { DaemonState } from '@nexodus/contracts/nexd';
import { eventually } from '@nexodus/clock/testing';
import { ping, startPing, type VirtualHost } from '@nexodus/netsim';
import { expect, onTestFinished, test } from 'vitest';
import { readAddressUse } from './address-use.ts';
import { TUNNEL, type LabMachine } from './lab-machine.ts';
import type { Lab } from './lab.ts';
import { firewallOf, readNetworkState } from './network-state.ts';

/** From the moment the service has enrolled a machine to its first answer to each other. */
const JOIN_DEADLINE_MS = 3_000;
/** From the service's answer to a deletion to the last packet that passes. */
const REVOCATION_DEADLINE_MS = 2_000;
const ECHO_INTERVAL_MS = 100;
/** How long is waited for an answer at all, so that a failure shows how long it took. */
const ANSWER_DEADLINE_MS = 15_000;

/** Machines come and go. */
export function describeMembership(running: () => Lab): void {
  test('a fourth machine that joins is reachable within 3 s', async () => {
    const lab = running();
    const others = [...lab.machines];
    const d = await visit(lab, 'd');
    await reachedBy(others, d);
    expect(performance.now() - d.joinedAtMs).toBeLessThan(JOIN_DEADLINE_MS);
  });

  test('a deleted device is unreachable within 2 s and its addresses are released once', async () => {
    const lab = running();
    const others = [...lab.machines];
    const d = await visit(lab, 'h');
    await reachedBy(others, d);
    const use = () => readAddressUse(lab.service.database, d.vpcId);
    const before = await use();
    expect(before.holdings.get(d.deviceId)).toEqual([d.ipv4, d.ipv6]);
    await lab.delete(d);
    await expectCut([...others.map((other) => [other, d] as const), [d, others[0] ?? d]]);
    await eventually(async () => !(await use()).holdings.has(d.deviceId));
    const after = await use();
    // Its two addresses are in quarantine, once; nobody else lost or got any.
    const released = after.quarantined.filter(({ lastOwnerId }) => lastOwnerId === d.deviceId);
    expect(released.map(({ address }) => address).toSorted()).toEqual([d.ipv4, d.ipv6].toSorted());
    expect(after.quarantined).toHaveLength(before.quarantined.length + 2);
    const kept = new Map(before.holdings);
    kept.delete(d.deviceId);
    expect(after.holdings).toEqual(kept);
    const listed = JSON.stringify(await lab.nexctl.json(['device', 'list']));
    expect(listed).not.toContain(d.ipv4);
    expect(listed).not.toContain(d.deviceId);
    await eventually(async () => (await d.status()).state === DaemonState.REMOVED);
    expect(await d.peers()).toEqual([]);
  });

  test('a deleted device that keeps its tunnel and keys reaches nobody', async () => {
    const lab = running();
    const e = await visit(lab, 'e');
    const [a] = lab.machines;
    if (a === undefined) throw new Error('a machine is there');
    await answered(e.host, a.ipv4);
    await e.end('SIGKILL');
    expect((await ping(e.host, a.ipv4, { count: 1 })).received).toBe(1);
    expect(await a.host.run('wg', ['show', TUNNEL, 'peers'])).toContain(e.publicKey);
    await lab.delete(e);
    await expectCut([
      [e, a],
      [a, e],
    ]);
    const held = await a.host.run('wg', ['show', TUNNEL, 'peers']);
    expect(held).not.toContain(e.publicKey);
    expect(await firewallOf(a.host, TUNNEL)).not.toContain(e.ipv4);
  });

  test('the firewall of a machine stands before its first peer, and down leaves nothing behind', async () => {
    const lab = running();
    const vpc = 'alone';
    await lab.nexctl.json(['vpc', 'create', vpc]);
    const f = await lab.addMachine('f');
    const before = await readNetworkState(f.host);
    await f.up(await lab.joinArguments(vpc));
    expect(await f.peers()).toEqual([]);
    const table = await firewallOf(f.host, TUNNEL);
    expect(table).toMatch(/chain tunnel_input \{[^}]*drop\s*\}/);
    expect(table).toMatch(/chain forward \{[^}]*drop\s*\}/);
    await f.down();
    expect(await readNetworkState(f.host)).toEqual(before);
    expect(await f.hasSocket()).toBe(false);
  });
}

/** Lets a machine join for the length of a test; then the others have each other only, as before. */
async function visit(lab: Lab, name: string): Promise<LabMachine> {
  const visitor = await lab.join(name);
  onTestFinished(async () => {
    if (lab.machines.includes(visitor)) await lab.delete(visitor);
    await visitor.end('SIGKILL');
    const others = lab.machines;
    await Promise.all(
      others.map((machine) => machine.knows(others.filter((other) => other !== machine))),
    );
  });
  return visitor;
}

/** Returns once each of the others has had an answer of a machine on both families. */
async function reachedBy(others: readonly LabMachine[], machine: LabMachine): Promise<void> {
  const addresses = [machine.ipv4, machine.ipv6];
  await Promise.all(
    others.flatMap((other) => addresses.map((address) => answered(other.host, address))),
  );
}

/** Sends echoes until one is answered. */
async function answered(host: VirtualHost, address: string): Promise<void> {
  await using echoes = await startPing(host, address, { intervalMs: ECHO_INTERVAL_MS });
  await echoes.waitForReply({ deadlineMs: ANSWER_DEADLINE_MS, after: 0 });
}

/**
 * Expects that no echo of any of these directions is answered any more once the deadline has passed. The echoes are the
 * clock: one each 100 ms, from now on.
 */
async function expectCut(pairs: readonly (readonly [LabMachine, LabMachine])[]): Promise<void> {
  const allowed = REVOCATION_DEADLINE_MS / ECHO_INTERVAL_MS;
  const count = allowed + 10;
  const late = pairs.flatMap(([from, to]) =>
    [to.ipv4, to.ipv6].map(async (address) => {
      const options = { count, intervalMs: ECHO_INTERVAL_MS, replyTimeoutMs: 500 };
      const { lost } = await ping(from.host, address, options);
      const lostAfter = lost.filter((sequence) => sequence > allowed);
      return `${from.name} -> ${address}: ${count - allowed - lostAfter.length} answers`;
    }),
  );
  expect((await Promise.all(late)).filter((text) => !text.endsWith(' 0 answers'))).toEqual([]);
}
