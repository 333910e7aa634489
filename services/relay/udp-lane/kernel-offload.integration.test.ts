/** What only a lane with the kernel's help does, and what it does where it gets none. */
import { eventually } from '@nexodus/clock/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { dataMessage, type HostedLane, labSession, LaneLab, placeOf } from './lane-lab.fixture.ts';
import { machineState } from './udp-lane.contract.ts';

let lab: LaneLab;
let lane: HostedLane;

beforeAll(async () => {
  lab = await LaneLab.open();
});
afterAll(async () => {
  await lab.close();
});
afterEach(async () => {
  await lane.stop();
  await lane.talker.process.stop();
});

const byKernel = () => ({ offload: { stateFile: lab.stateFile } });
const formOf = (type: number, length: number) => Uint8Array.of(type, ...new Uint8Array(length - 1));

/** A session with its first side at alpha's socket `name`. */
async function join(id: bigint, name: string) {
  const session = labSession(id);
  const place = await lane.open(session);
  const from = await lab.alpha.bind(name, lab.alpha.host.ipv4);
  const to = placeOf(place?.[0], 4);
  await lab.register(session, 0, { peer: lab.alpha, name, from, to });
  return to;
}

test('a flood of handshakes does not reach the lane, be it of a stranger or of a device', async () => {
  lane = await lab.startLane(byKernel());
  const to = await join(1n, 'device');
  await lab.stranger.bind('flood', lab.stranger.host.ipv4);
  lab.stranger.send('flood', to, formOf(1, 148), 3_000);
  lab.alpha.send('device', to, formOf(1, 148), 3_000);
  await eventually(async () => (await lane.statistics()).prefiltered.rate > 4_000);
  expect((await lane.statistics()).datagrams.mac1).toBeLessThan(1_500);
});

test('what has no form that a device sends is dropped before it reaches the lane', async () => {
  lane = await lab.startLane(byKernel());
  const to = await join(2n, 'device');
  await lab.stranger.bind('junk', lab.stranger.host.ipv4);
  for (const bytes of [
    formOf(1, 149),
    formOf(2, 148),
    formOf(3, 64),
    formOf(4, 31),
    formOf(9, 80),
  ]) {
    lab.stranger.send('junk', to, bytes);
  }
  await eventually(async () => (await lane.statistics()).prefiltered.junk === 5);
  lab.stranger.send('junk', to, dataMessage(1));
  await eventually(async () => (await lane.statistics()).datagrams['unknown-source'] === 1);
  expect((await lane.statistics()).datagrams['not-wireguard']).toBe(0);
});

test('without the right to change nftables the sockets carry everything, and it is said why', async () => {
  const before = await machineState(lab);
  const without = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'];
  lane = await lab.startLane(byKernel(), without);
  const [started] = lane.talker.all('started');
  expect(started).toMatchObject({ technology: 'koffi' });
  expect(started?.reason).toMatch(/not permitted/i);
  await join(3n, 'device');
  await lane.stop();
  expect(await machineState(lab)).toEqual(before);
});
