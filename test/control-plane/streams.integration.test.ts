import { eventually } from '@nexodus/clock/testing';
import { AgentServiceDefinition, GoodbyeReason } from '@nexodus/contracts/agent';
import {
  DeviceServiceDefinition,
  RegistrationKeyServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { EndpointKind } from '@nexodus/contracts/type';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { accountCaller, type ApiCaller } from './callers.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { DeviceStream } from './device-stream.ts';
import { bindingOf, deviceCaller, enrol, makeDeviceKeys } from './test-device.ts';

let plane: ControlPlane;
let admin: ApiCaller;
const closes: (() => void | Promise<void>)[] = [];
beforeAll(async () => {
  plane = await startControlPlane();
  admin = await accountCaller(plane, plane.accountId, plane.accountKey);
});
afterEach(async () => {
  for (const close of closes.splice(0).toReversed()) await close();
});
afterAll(async () => {
  admin?.close();
  await plane?.stop();
});

interface Joined {
  id: string;
  caller: ApiCaller;
  connect: (held?: DeviceStream['view']) => DeviceStream;
}

async function newVpc(name: string): Promise<string> {
  const { vpc } = await admin.client(VpcServiceDefinition).createVpc({ name });
  return vpc?.id ?? '';
}

/** Enrols a device, publishes its binding, and gives the means to open its stream. */
async function join(vpcId: string): Promise<Joined> {
  const { secret } = await admin
    .client(RegistrationKeyServiceDefinition)
    .createRegistrationKey({ vpcId });
  const keys = makeDeviceKeys();
  const enrolled = await enrol(plane, keys, { registrationKey: secret });
  const caller = await deviceCaller(plane, enrolled.deviceId, keys.device);
  closes.push(caller.close);
  await caller
    .client(AgentServiceDefinition)
    .publishBinding({ binding: bindingOf(keys, enrolled, 1n) });
  const connect: Joined['connect'] = (held) => {
    const stream = new DeviceStream(caller, held);
    closes.push(() => stream.close());
    return stream;
  };
  return { id: enrolled.deviceId, caller, connect };
}

test('devices of the default group see each other, a newcomer appears, a deleted one goes within a second and is told', async () => {
  const vpcId = await newVpc('seeing');
  const [a, b] = [await join(vpcId), await join(vpcId)];
  const [streamA, streamB] = [a.connect(), b.connect()];
  await eventually(() => expect(streamA.peerIds).toEqual([b.id]));
  await eventually(() => expect(streamB.peerIds).toEqual([a.id]));
  const c = await join(vpcId);
  await eventually(() => expect(streamA.peerIds).toEqual([b.id, c.id].toSorted()));
  const startedAt = performance.now();
  await admin.client(DeviceServiceDefinition).deleteDevice({ id: b.id });
  await eventually(() => expect(streamA.peerIds).toEqual([c.id]));
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  await streamB.ended;
  expect(streamB.goodbye).toBe(GoodbyeReason.DEVICE_DELETED);
});

test('a device that comes back with what it held gets a bookmark, and what changed meanwhile otherwise', async () => {
  const vpcId = await newVpc('resuming');
  const [a, b] = [await join(vpcId), await join(vpcId)];
  const first = a.connect();
  await eventually(() => expect(first.peerIds).toEqual([b.id]));
  await first.close();
  const second = a.connect(first.view);
  await eventually(() => expect(second.heard.bookmarks).toBeGreaterThan(0), { timeoutMs: 15_000 });
  expect(second.heard.intervals).toBe(0);
  await second.close();
  const c = await join(vpcId);
  const third = a.connect(second.view);
  await eventually(() => expect(third.peerIds).toEqual([b.id, c.id].toSorted()));
});

test('endpoints and presence reach the peers, and only them', async () => {
  const vpcId = await newVpc('soft');
  const [a, b] = [await join(vpcId), await join(vpcId)];
  const stranger = (await join(await newVpc('elsewhere'))).connect();
  const streamA = a.connect();
  const streamB = b.connect();
  streamB.say('localState', {
    sequence: 1n,
    endpoints: [{ address: '192.0.2.7:51820', kind: EndpointKind.LOCAL }],
  });
  await eventually(() =>
    expect(streamA.peerStates.get(b.id)?.endpoints[0]?.address).toBe('192.0.2.7:51820'),
  );
  expect(streamA.peerStates.get(b.id)?.online).toBe(true);
  const { device } = await admin.client(DeviceServiceDefinition).getDevice({ id: b.id });
  expect(device?.online).toBe(true);
  await streamB.close();
  await eventually(() => expect(streamA.peerStates.get(b.id)?.online).toBe(false));
  expect([...stranger.peerStates.keys()]).toEqual([]);
});

test('a newer stream of a device ends the older one', async () => {
  const a = await join(await newVpc('once'));
  const older = a.connect();
  await eventually(() => expect(older.view).toBeDefined());
  const newer = a.connect();
  await older.ended;
  expect(older.goodbye).toBe(GoodbyeReason.SUPERSEDED);
  await eventually(() => expect(newer.view).toBeDefined());
});
