import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import {
  DeviceServiceDefinition,
  RegistrationKeyServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { eventually } from '@nexodus/clock/testing';
import { type RpcClient, Status } from '@nexodus/rpc';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accountCaller, anonymousCaller, type ApiCaller } from './callers.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { refusal } from './refusal.ts';
import { bindingOf, deviceCaller, enrol, makeDeviceKeys } from './test-device.ts';

let plane: ControlPlane;
let admin: ApiCaller;
let keys: RpcClient<typeof RegistrationKeyServiceDefinition>;
let devices: RpcClient<typeof DeviceServiceDefinition>;

beforeAll(async () => {
  plane = await startControlPlane();
  admin = await accountCaller(plane, plane.accountId, plane.accountKey);
  keys = admin.client(RegistrationKeyServiceDefinition);
  devices = admin.client(DeviceServiceDefinition);
});
afterAll(async () => {
  admin?.close();
  await plane?.stop();
});

async function newKey(maxUses = 1, vpcId = ''): Promise<string> {
  const { secret } = await keys.createRegistrationKey({ maxUses, vpcId });
  return secret;
}

/** A VPC whose addresses nobody else takes or gives back. */
async function newVpc(name: string): Promise<string> {
  const { vpc } = await admin.client(VpcServiceDefinition).createVpc({ name });
  return vpc?.id ?? '';
}

/** How many devices have addresses of a VPC. */
async function usedIn(vpcId: string): Promise<bigint> {
  return (await plane.ipam.getPool({ poolId: vpcId })).used;
}

describe('enrolling', () => {
  test('gives a device with one address of each family, a unique hostname, and counts the use of the key', async () => {
    const registrationKey = await newKey(2, await newVpc('named'));
    const first = await enrol(plane, makeDeviceKeys(), {
      registrationKey,
      hostname: 'Web.example',
    });
    const second = await enrol(plane, makeDeviceKeys(), { registrationKey, hostname: 'web' });
    expect([first.hostname, second.hostname]).toEqual(['web', 'web-2']);
    expect(first.ipv4Address).toMatch(/^100\./);
    expect(first.ipv6Address).toMatch(/^fd/);
    expect(first.ipv4Address).not.toBe(second.ipv4Address);
    const { registrationKeys } = await keys.listRegistrationKeys({});
    expect(registrationKeys.find((key) => registrationKey.startsWith(key.prefix))?.uses).toBe(2);
  });

  test('the same keys again give the same device and addresses, and use nothing up', async () => {
    const registrationKey = await newKey();
    const own = makeDeviceKeys();
    const first = await enrol(plane, own, { registrationKey });
    const again = await enrol(plane, own, { registrationKey });
    expect({ ...again, expireTime: undefined }).toEqual({ ...first, expireTime: undefined });
  });

  test('of 10 uses of a single-use key at once exactly one wins, and the others leave no address behind', async () => {
    const vpcId = await newVpc('contended');
    const registrationKey = await newKey(1, vpcId);
    const tries = await Promise.allSettled(
      Array.from({ length: 10 }, () => enrol(plane, makeDeviceKeys(), { registrationKey })),
    );
    expect(tries.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    await eventually(async () => (await usedIn(vpcId)) === 1n);
  });

  test("nobody enrols with another device's WireGuard key, and cannot tell whether it is enrolled without its proof", async () => {
    const registrationKey = await newKey(0);
    const victim = makeDeviceKeys();
    await enrol(plane, victim, { registrationKey });
    const thief = { ...makeDeviceKeys(), wireGuard: victim.wireGuard };
    expect(await refusal(enrol(plane, thief, { registrationKey }))).toMatchObject({
      code: Status.ALREADY_EXISTS,
      details: { reason: 'KEY_TAKEN' },
    });
    const wireguardPublicKey = Buffer.from(victim.wireGuard.publicKey);
    const withoutProof = enrol(plane, makeDeviceKeys(), {
      registrationKey,
      tamper: { wireguardPublicKey },
    });
    expect(await refusal(withoutProof)).toMatchObject({
      code: Status.UNAUTHENTICATED,
      details: { reason: 'PROOF_INVALID' },
    });
  });

  test.each([['a key that is no key', 'hello', 'REGISTRATION_KEY_UNKNOWN']])(
    'refuses %s',
    async (_name, registrationKey, reason) => {
      const call = anonymousCaller(plane);
      const agent = call.client(AgentServiceDefinition);
      const begun = await agent.beginEnroll({});
      const attempt = agent.enroll({
        cookie: begun.cookie,
        credential: { $case: 'registrationKey', value: registrationKey },
      });
      expect(await refusal(attempt)).toMatchObject({
        code: Status.UNAUTHENTICATED,
        details: { reason },
      });
      call.close();
    },
  );

  test('refuses a deleted key, a used key, proofs for another audience, and a used nonce', async () => {
    const { registrationKey, secret } = await keys.createRegistrationKey({});
    await keys.deleteRegistrationKey({ id: registrationKey?.id });
    expect(
      (await refusal(enrol(plane, makeDeviceKeys(), { registrationKey: secret }))).details.reason,
    ).toBe('REGISTRATION_KEY_UNKNOWN');
    const used = await newKey();
    await enrol(plane, makeDeviceKeys(), { registrationKey: used });
    expect(
      (await refusal(enrol(plane, makeDeviceKeys(), { registrationKey: used }))).details.reason,
    ).toBe('REGISTRATION_KEY_USED');
    const elsewhere = enrol(plane, makeDeviceKeys(), {
      registrationKey: await newKey(),
      audience: 'https://evil.test:7443',
    });
    expect((await refusal(elsewhere)).details.reason).toBe('PROOF_INVALID');
  });

  test('a tampered cookie is refused', async () => {
    const attempt = enrol(plane, makeDeviceKeys(), {
      registrationKey: await newKey(),
      tamper: { cookie: Buffer.alloc(100) },
    });
    expect((await refusal(attempt)).details.reason).toBe('COOKIE_EXPIRED');
  });
});

describe('deleting a device', () => {
  test('releases its addresses exactly once, ends its tokens, and retires its keys for ever', async () => {
    const vpcId = await newVpc('left');
    const registrationKey = await newKey(0, vpcId);
    const own = makeDeviceKeys();
    const enrolled = await enrol(plane, own, { registrationKey });
    const caller = await deviceCaller(plane, enrolled.deviceId, own.device);
    expect(await usedIn(vpcId)).toBe(1n);
    await devices.deleteDevice({ id: enrolled.deviceId });
    await eventually(async () => (await usedIn(vpcId)) === 0n);
    const again = await plane.ipam.releaseAddresses({
      poolId: vpcId,
      ownerId: enrolled.deviceId,
    });
    expect(again.released).toBe(false);
    const publishing = caller
      .client(AgentServiceDefinition)
      .publishBinding({ binding: bindingOf(own, enrolled, 1n) });
    expect((await refusal(publishing)).details.reason).toBe('DEVICE_DELETED');
    expect((await refusal(enrol(plane, own, { registrationKey }))).details.reason).toBe(
      'KEY_DELETED',
    );
    expect((await refusal(devices.deleteDevice({ id: enrolled.deviceId }))).code).toBe(
      Status.NOT_FOUND,
    );
    caller.close();
  });

  test('an outdated etag keeps it', async () => {
    const { deviceId } = await enrol(plane, makeDeviceKeys(), { registrationKey: await newKey() });
    expect((await refusal(devices.deleteDevice({ id: deviceId, etag: 'old' }))).code).toBe(
      Status.ABORTED,
    );
    const { device } = await devices.getDevice({ id: deviceId });
    await devices.deleteDevice({ id: deviceId, etag: device?.etag });
  });
});

describe('publishing a binding', () => {
  test('takes a rising serial, the same again, and neither a lower one nor a foreign signature', async () => {
    const own = makeDeviceKeys();
    const enrolled = await enrol(plane, own, { registrationKey: await newKey() });
    const caller = await deviceCaller(plane, enrolled.deviceId, own.device);
    const agent = caller.client(AgentServiceDefinition);
    const second = bindingOf(own, enrolled, 2n);
    const { revision } = await agent.publishBinding({ binding: second });
    expect((await agent.publishBinding({ binding: second })).revision).toBe(revision);
    expect(
      (await refusal(agent.publishBinding({ binding: bindingOf(own, enrolled, 1n) }))).details
        .reason,
    ).toBe('SERIAL_TOO_LOW');
    const forged = bindingOf({ ...own, device: makeDeviceKeys().device }, enrolled, 3n);
    expect((await refusal(agent.publishBinding({ binding: forged }))).code).toBe(
      Status.INVALID_ARGUMENT,
    );
    caller.close();
  });
});
