import { eventually } from '@nexodus/clock/testing';
import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import {
  DeviceServiceDefinition,
  RegistrationKeyServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { type GrantPayload, RelayHeartbeat, type SignedGrant } from '@nexodus/contracts/relay';
import { parseEd25519PublicKey } from '@nexodus/device-identity';
import { createInProcessMessageBus, type MessageBus } from '@nexodus/messaging';
import { verifyGrant } from '@nexodus/relay-grant';
import { Status } from '@nexodus/rpc';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accountCaller, type ApiCaller } from './callers.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { DeviceStream } from './device-stream.ts';
import { bindingOf, deviceCaller, enrol, makeDeviceKeys } from './test-device.ts';

let bus: MessageBus;
let plane: ControlPlane;
let admin: ApiCaller;
beforeAll(async () => {
  bus = createInProcessMessageBus();
  plane = await startControlPlane({ bus });
  admin = await accountCaller(plane, plane.accountId, plane.accountKey);
});
afterAll(async () => {
  admin?.close();
  await plane?.stop();
});

const relayIds = ['relay-1'];

async function newVpc(name: string): Promise<string> {
  const { vpc } = await admin.client(VpcServiceDefinition).createVpc({ name });
  return vpc?.id ?? '';
}

async function join(vpcId: string): Promise<{ id: string; caller: ApiCaller }> {
  const keys = makeDeviceKeys();
  const { secret } = await admin
    .client(RegistrationKeyServiceDefinition)
    .createRegistrationKey({ vpcId });
  const enrolled = await enrol(plane, keys, { registrationKey: secret });
  const caller = await deviceCaller(plane, enrolled.deviceId, keys.device);
  const binding = bindingOf(keys, enrolled, 1n);
  await caller.client(AgentServiceDefinition).publishBinding({ binding });
  return { id: enrolled.deviceId, caller };
}

async function check(signed: SignedGrant | undefined, devices: 1 | 2): Promise<GrantPayload> {
  const { keys: answered } = await plane.grants.listGrantKeys({});
  const keys = new Map(
    answered.map(({ keyId, publicKey }) => [
      keyId,
      parseEd25519PublicKey(publicKey, 'relay-grant'),
    ]),
  );
  if (signed === undefined) throw new Error('no grant was given');
  const demands = { relayId: 'relay-1', keys, devices, nowMs: Date.now() };
  const verdict = verifyGrant(signed, demands);
  if (!verdict.ok) throw new Error(verdict.refusal);
  return verdict.grant;
}

/** Follows grants as a relay does, and collects what it is told. */
function follow(...grants: GrantPayload[]) {
  const ending = new AbortController();
  const heard = { followed: new Set<string>(), revoked: new Set<string>() };
  async function* requests() {
    yield { follow: grants };
    await new Promise((resolve) => ending.signal.addEventListener('abort', resolve));
  }
  const run = async (): Promise<void> => {
    const responses = plane.grants.watchPasses(requests(), { signal: ending.signal });
    for await (const { followedGrantIds, revokedGrantIds } of responses) {
      for (const id of followedGrantIds) heard.followed.add(id);
      for (const id of revokedGrantIds) heard.revoked.add(id);
    }
  };
  const ended = run().catch(() => undefined);
  const stop = async (): Promise<void> => {
    ending.abort();
    await ended;
  };
  return { heard, stop };
}

test('a device gets a pass and pairs with the peers that it may see, which a relay accepts and then follows', async () => {
  const [vpcId, otherVpcId] = [await newVpc('pairs'), await newVpc('others')];
  const [a, b, stranger] = [await join(vpcId), await join(vpcId), await join(otherVpcId)];
  const peerDeviceIds = [b.id, stranger.id, a.id];
  const given = await a.caller
    .client(AgentServiceDefinition)
    .issueRelayGrants({ peerDeviceIds, relayIds });
  const pass = await check(given.pass, 1);
  expect(pass).toMatchObject({ vpcId, relayIds, devices: [{ deviceId: a.id }] });
  expect(given.pairs).toHaveLength(1);
  const pair = await check(given.pairs[0], 2);
  expect(pair.devices.map(({ deviceId }) => deviceId)).toEqual([a.id, b.id].toSorted());
  const lifeSeconds = Number(pair.notAfterSeconds) - Date.now() / 1_000;
  expect(lifeSeconds).toBeGreaterThan(3_500);
  expect(lifeSeconds).toBeLessThanOrEqual(3_600);

  const { heard, stop } = follow(pass, pair);
  await eventually(() => expect(heard.followed).toEqual(new Set([pass.grantId, pair.grantId])));
  const deletedAt = performance.now();
  await admin.client(DeviceServiceDefinition).deleteDevice({ id: b.id });
  await eventually(() => expect(heard.revoked).toEqual(new Set([pair.grantId])));
  expect(performance.now() - deletedAt).toBeLessThan(5_000);
  await stop();

  const late = follow(pass, pair);
  await eventually(() => expect(late.heard.revoked).toEqual(new Set([pair.grantId])));
  await eventually(() => expect(late.heard.followed).toEqual(new Set([pass.grantId])));
  await late.stop();
  for (const { caller } of [a, b, stranger]) caller.close();
});

test('grants are for devices only, and for what the request may name', async () => {
  const admins = admin.client(AgentServiceDefinition).issueRelayGrants({ relayIds });
  await expect(admins).rejects.toMatchObject({ code: Status.PERMISSION_DENIED });
  const { caller } = await join(await newVpc('requests'));
  const agent = caller.client(AgentServiceDefinition);
  const uuid = '00000000-0000-4000-8000-000000000000';
  const wrong = [
    { relayIds: [] },
    { relayIds: ['Relay 1'] },
    { relayIds: Array.from({ length: 9 }, (_, index) => `relay-${index}`) },
    { relayIds, peerDeviceIds: ['peer'] },
    { relayIds, peerDeviceIds: Array.from({ length: 101 }, () => uuid) },
  ];
  for (const request of wrong) {
    await expect(agent.issueRelayGrants(request)).rejects.toMatchObject({
      code: Status.INVALID_ARGUMENT,
    });
  }
  caller.close();
});

test('devices are told of the relays there are, and of each one that comes', async () => {
  const { caller } = await join(await newVpc('relays'));
  const tell = (relayId: string): void => {
    const said = { relayId, url: `https://${relayId}.invalid`, freeSessions: 1n };
    const heartbeat = RelayHeartbeat.encode(RelayHeartbeat.fromPartial(said)).finish();
    bus.publish('nexodus.relay.heartbeat', heartbeat);
  };
  tell('here-first');
  const stream = new DeviceStream(caller);
  const told = (): string[] => stream.reachability?.relays.map(({ relayId }) => relayId) ?? [];
  await eventually(() => expect(told()).toEqual(['here-first']));
  tell('then-this');
  await eventually(() => expect(told()).toEqual(['here-first', 'then-this']));
  await stream.close();
  caller.close();
});
