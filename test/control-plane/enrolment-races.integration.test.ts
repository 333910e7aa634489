/** Enrolment against what others do at the same time: each test holds a transaction open where the race is. */
import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import { eventually } from '@nexodus/clock/testing';
import {
  DeviceServiceDefinition,
  RegistrationKeyServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { type ResourceImage, VpcChange } from '@nexodus/contracts/event';
import { Status } from '@nexodus/rpc';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accountCaller, type ApiCaller } from './callers.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { refusal } from './refusal.ts';
import { bindingOf, type DeviceKeys, deviceCaller, enrol, makeDeviceKeys } from './test-device.ts';

let plane: ControlPlane;
let admin: ApiCaller;
beforeAll(async () => {
  plane = await startControlPlane();
  admin = await accountCaller(plane, plane.accountId, plane.accountKey);
});
afterAll(async () => {
  admin?.close();
  await plane?.stop();
});

async function newVpc(name: string, ipv4Prefix = ''): Promise<string> {
  const { vpc } = await admin.client(VpcServiceDefinition).createVpc({ name, ipv4Prefix });
  return vpc?.id ?? '';
}

async function newKey(maxUses = 0, vpcId = ''): Promise<string> {
  const keys = admin.client(RegistrationKeyServiceDefinition);
  const { secret } = await keys.createRegistrationKey({ maxUses, vpcId });
  return secret;
}

/** Until some transaction waits for a lock of another. */
function somebodyWaits(): Promise<unknown> {
  return eventually(async () => {
    const { rows } = await plane.database.knex.raw('SELECT FROM pg_locks WHERE NOT granted');
    return rows.length > 0;
  });
}

async function lastImages(vpcId: string): Promise<(ResourceImage | undefined)[]> {
  const row = await plane.database
    .knex('vpc_changes')
    .where({ vpc_id: vpcId })
    .orderBy('revision', 'desc')
    .first('change');
  const [only] = VpcChange.decode(row.change).changes;
  return [only?.before, only?.after];
}

function expiryOf(image: ResourceImage | undefined): bigint | undefined {
  return image?.resource?.$case === 'device' ? image.resource.value.expireTimeSeconds : undefined;
}

describe('renewal', () => {
  test('is in the change log with the end before and after it, and changes the etag', async () => {
    const vpcId = await newVpc('renewing');
    const registrationKey = await newKey(0, vpcId);
    const own = makeDeviceKeys();
    const { deviceId } = await enrol(plane, own, { registrationKey });
    const expiredAt = new Date('2020-01-01T00:00:00Z');
    await plane.database.knex('devices').where({ id: deviceId }).update({ expires_at: expiredAt });
    const devices = admin.client(DeviceServiceDefinition);
    const before = await devices.getDevice({ id: deviceId });
    const { expireTime } = await enrol(plane, own, { registrationKey });
    const [old, renewed] = await lastImages(vpcId);
    expect(expiryOf(old)).toBe(BigInt(expiredAt.getTime() / 1000));
    expect(expireTime?.getTime()).toBe(Number(expiryOf(renewed)) * 1000);
    expect((await devices.getDevice({ id: deviceId })).device?.etag).not.toBe(before.device?.etag);
  });

  test('by a used-up registration key is for the devices that were enrolled with it', async () => {
    const [first, second] = [makeDeviceKeys(), makeDeviceKeys()];
    const usedUp = await newKey(1);
    const { deviceId } = await enrol(plane, first, { registrationKey: usedUp });
    await enrol(plane, second, { registrationKey: await newKey(1) });
    expect((await enrol(plane, first, { registrationKey: usedUp })).deviceId).toBe(deviceId);
    const foreign = await refusal(enrol(plane, second, { registrationKey: usedUp }));
    expect(foreign.details.reason).toBe('REGISTRATION_KEY_USED');
  });
});

describe('deleted keys', () => {
  test('do not renew a device whose deletion is under way', async () => {
    const vpcId = await newVpc('deleting');
    const registrationKey = await newKey(0, vpcId);
    const own = makeDeviceKeys();
    const { deviceId } = await enrol(plane, own, { registrationKey });
    const deletion = await plane.database.knex.transaction();
    await deletion('devices').where({ id: deviceId }).delete();
    const renewal = refusal(enrol(plane, own, { registrationKey }));
    await somebodyWaits();
    await deletion('vpcs').where({ id: vpcId }).increment('revision');
    await deletion.commit();
    expect((await renewal).details.reason).toBe('KEY_DELETED');
  });

  test('do not enrol when they were deleted after they were looked for', async () => {
    const registrationKey = await newKey();
    const own = makeDeviceKeys();
    const { holder, enrolment } = await enrolHeldUp(own, registrationKey);
    await plane.database
      .knex('retired_keys')
      .insert({ public_key: Buffer.from(own.wireGuard.publicKey) });
    await holder.commit();
    expect((await refusal(enrolment)).details.reason).toBe('KEY_DELETED');
    const wireguardPublicKey = Buffer.from(own.wireGuard.publicKey);
    const devices = plane.database.knex('devices');
    expect(await devices.where({ wireguard_public_key: wireguardPublicKey })).toEqual([]);
  });
});

/** An enrolment that has looked for its keys, has its addresses, and waits for the lock of its registration key. */
async function enrolHeldUp(
  own: DeviceKeys,
  registrationKey: string,
): Promise<{ holder: { commit(): unknown }; enrolment: Promise<unknown> }> {
  const holder = await plane.database.knex.transaction();
  await holder('registration_keys').forUpdate().select('id');
  const enrolment = enrol(plane, own, { registrationKey });
  await somebodyWaits();
  return { holder, enrolment };
}

describe('addresses', () => {
  test('are not used up by refused enrolments, and their end is told', async () => {
    const vpcId = await newVpc('tiny', '10.77.0.0/29');
    const registrationKey = await newKey(0, vpcId);
    const victim = makeDeviceKeys();
    await enrol(plane, victim, { registrationKey });
    for (let n = 0; n < 8; n += 1) {
      const thief = { ...makeDeviceKeys(), disco: victim.disco };
      const refused = await refusal(enrol(plane, thief, { registrationKey }));
      expect(refused.details.reason).toBe('KEY_TAKEN');
    }
    for (let n = 0; n < 5; n += 1) await enrol(plane, makeDeviceKeys(), { registrationKey });
    const full = await refusal(enrol(plane, makeDeviceKeys(), { registrationKey }));
    expect([full.code, full.details.reason]).toEqual([Status.RESOURCE_EXHAUSTED, 'POOL_FULL']);
  });

  test('that ipam gives although a device has them are replaced by others', async () => {
    const vpcId = await newVpc('astray', '10.78.0.0/24');
    const registrationKey = await newKey(0, vpcId);
    const { deviceId } = await enrol(plane, makeDeviceKeys(), { registrationKey });
    await plane.database
      .knex('devices')
      .where({ id: deviceId })
      .update({ ipv4_address: '10.78.0.2' });
    const next = await enrol(plane, makeDeviceKeys(), { registrationKey });
    expect(next.ipv4Address).toBe('10.78.0.3');
  });

  test('of a pool that is not there are no fault that is told, and enrolling makes no pool', async () => {
    const vpcId = await newVpc('poolless');
    const registrationKey = await newKey(0, vpcId);
    await eventually(() => plane.ipam.getPool({ poolId: vpcId }));
    await plane.ipam.deletePool({ poolId: vpcId });
    const refused = await refusal(enrol(plane, makeDeviceKeys(), { registrationKey }));
    expect([refused.code, refused.message]).toEqual([
      Status.UNAVAILABLE,
      'addresses cannot be given right now: try again',
    ]);
    expect((await refusal(plane.ipam.getPool({ poolId: vpcId }))).code).toBe(Status.NOT_FOUND);
  });
});

test('deleting a VPC waits for an enrolment into it without holding what the enrolment needs next', async () => {
  const vpcId = await newVpc('leaving');
  await newKey(0, vpcId);
  const enrolment = await plane.database.knex.transaction();
  await enrolment('registration_keys').where({ vpc_id: vpcId }).forUpdate().select('id');
  const deletion = admin.client(VpcServiceDefinition).deleteVpc({ id: vpcId });
  await somebodyWaits();
  await enrolment.raw("SET LOCAL lock_timeout = '500ms'");
  await enrolment('vpcs').where({ id: vpcId }).forKeyShare().select('id');
  await enrolment.rollback();
  await deletion;
});

test('machines of one name that enrol at once get names of their own', async () => {
  const registrationKey = await newKey();
  const wishes = { registrationKey, hostname: 'twin' };
  const enrolled = await Promise.all(
    Array.from({ length: 6 }, () => enrol(plane, makeDeviceKeys(), wishes)),
  );
  expect(enrolled.map((device) => device.hostname).toSorted()).toEqual([
    'twin',
    'twin-2',
    'twin-3',
    'twin-4',
    'twin-5',
    'twin-6',
  ]);
});

test('a binding whose serial no column holds is refused as such, and a binding changes the etag', async () => {
  const own = makeDeviceKeys();
  const enrolled = await enrol(plane, own, { registrationKey: await newKey() });
  const devices = admin.client(DeviceServiceDefinition);
  const before = await devices.getDevice({ id: enrolled.deviceId });
  const caller = await deviceCaller(plane, enrolled.deviceId, own.device);
  const agent = caller.client(AgentServiceDefinition);
  const tooHigh = agent.publishBinding({ binding: bindingOf(own, enrolled, 2n ** 63n) });
  expect((await refusal(tooHigh)).details.violations?.[0]?.field).toBe('binding.serial');
  await agent.publishBinding({ binding: bindingOf(own, enrolled, 2n ** 63n - 1n) });
  const after = await devices.getDevice({ id: enrolled.deviceId });
  expect(after.device?.etag).not.toBe(before.device?.etag);
  caller.close();
});

test.each([
  ['hostname', { hostname: 'a\u0000b' }],
  ['os', { os: '\u0000' }],
  ['vpc', { vpc: 'a\u0000' }],
  ['organization', { organization: 'demo' }],
])('an enrolment with an odd %s is refused by that name', async (field, tamper) => {
  const registrationKey = await newKey();
  const error = await refusal(enrol(plane, makeDeviceKeys(), { registrationKey, tamper }));
  expect(error.details.violations?.map((violation) => violation.field)).toEqual([field]);
});

test('the audit log names the registration key that a device was enrolled with', async () => {
  const registrationKey = await newKey();
  const { deviceId } = await enrol(plane, makeDeviceKeys(), { registrationKey });
  const record = await plane.database
    .knex('audit_records')
    .where({ action: 'device.enroll', resource_id: deviceId })
    .first('actor_kind', 'actor_id');
  expect(record.actor_kind).toBe('registration_key');
  expect(registrationKey.startsWith(record.actor_id)).toBe(true);
});
