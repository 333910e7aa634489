/** What callers may send that nobody should: each answer names the caller's fault, and tells nothing of others. */
import { randomUUID } from 'node:crypto';
import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import {
  OrganizationServiceDefinition,
  RegistrationKeyServiceDefinition,
  Role,
  ServiceAccountServiceDefinition,
  TokenServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { createClientAssertion, Ed25519PrivateKey } from '@nexodus/device-identity';
import { type RpcClient, Status } from '@nexodus/rpc';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { accountCaller, anonymousCaller, type ApiCaller } from './callers.ts';
import { type ControlPlane, startControlPlane, testAudience } from './control-plane.ts';
import { refusal } from './refusal.ts';
import { deviceCaller, enrol, makeDeviceKeys } from './test-device.ts';

let plane: ControlPlane;
let admin: ApiCaller;
let keys: RpcClient<typeof RegistrationKeyServiceDefinition>;
let accounts: RpcClient<typeof ServiceAccountServiceDefinition>;
let vpcs: RpcClient<typeof VpcServiceDefinition>;
beforeAll(async () => {
  plane = await startControlPlane();
  admin = await accountCaller(plane, plane.accountId, plane.accountKey);
  keys = admin.client(RegistrationKeyServiceDefinition);
  accounts = admin.client(ServiceAccountServiceDefinition);
  vpcs = admin.client(VpcServiceDefinition);
});
afterAll(async () => {
  admin?.close();
  await plane?.stop();
});

function publicKey(): Buffer {
  return Buffer.from(Ed25519PrivateKey.generate('service-account').publicKey);
}

/** Another organization with one of everything; returns the ids. */
async function foreignResources(): Promise<Record<'vpc' | 'key' | 'account', string>> {
  const { knex } = plane.database;
  const insert = async (table: string, row: object): Promise<string> => {
    const [made] = await knex(table).insert(row).returning('id');
    return made.id;
  };
  const organization_id = await insert('organizations', {
    name: 'foreign',
    ula_prefix: 'fdab::/48',
  });
  const vpc = await insert('vpcs', {
    organization_id,
    name: 'theirs',
    description: '',
    ipv4_prefix: '10.0.0.0/24',
    ipv6_prefix: 'fdab::/64',
    is_default: true,
  });
  const key = await insert('registration_keys', {
    organization_id,
    vpc_id: vpc,
    description: '',
    prefix: 'nx',
    hash: Buffer.alloc(32, 1),
    max_uses: 1,
    ephemeral: false,
    security_group_ids: [],
    tags: [],
    expires_at: new Date(Date.now() + 1e9),
  });
  const account = await insert('service_accounts', {
    organization_id,
    name: 'theirs',
    role: 'admin',
    public_key: publicKey(),
  });
  return { vpc, key, account };
}

test('what is foreign is answered as what is missing, to the letter', async () => {
  const foreign = await foreignResources();
  const calls: [string, (id: string) => Promise<unknown>][] = [
    [foreign.vpc, (id) => vpcs.getVpc({ id })],
    [foreign.vpc, (id) => vpcs.deleteVpc({ id })],
    [foreign.vpc, (vpcId) => keys.createRegistrationKey({ vpcId })],
    [foreign.key, (id) => keys.getRegistrationKey({ id })],
    [foreign.key, (id) => keys.deleteRegistrationKey({ id })],
    [foreign.account, (id) => accounts.getServiceAccount({ id })],
    [foreign.account, (id) => accounts.disableServiceAccount({ id })],
  ];
  for (const [id, call] of calls) {
    const missing = randomUUID();
    const [there, absent] = [await refusal(call(id)), await refusal(call(missing))];
    expect(there.message.replaceAll(id, 'ID')).toBe(absent.message.replaceAll(missing, 'ID'));
    const named = (error: typeof there): object => ({
      ...error.details,
      resource: { ...error.details.resource, name: '' },
    });
    expect(named(there)).toEqual(named(absent));
  }
});

test('what is no id of an organization is not found, and neither said back nor audited at length', async () => {
  const id = 'x'.repeat(5_000);
  const organizations = admin.client(OrganizationServiceDefinition);
  for (const call of [
    () => organizations.getOrganization({ id }),
    () => vpcs.createVpc({ name: 'a', organizationId: id }),
    () => accounts.createServiceAccount({ name: 'a', organizationId: id }),
  ]) {
    const { code, message } = await refusal(call());
    expect(code).toBe(Status.NOT_FOUND);
    expect(message.length).toBeLessThan(200);
  }
  const long = await plane.database
    .knex('audit_records')
    .whereRaw('length(resource_id) > 100 OR resource_id LIKE ?', ['xxx%']);
  expect(long).toEqual([]);
});

describe('texts and lists', () => {
  const group = randomUUID();
  test.each<[string, () => Promise<unknown>]>([
    ['description', () => vpcs.createVpc({ name: 'a', description: 'a\u0000' })],
    ['description', () => keys.createRegistrationKey({ description: '\u001b[2J' })],
    ['tags', () => keys.createRegistrationKey({ tags: ['a', '\u0000'] })],
    ['tags', () => keys.createRegistrationKey({ tags: Array.from({ length: 51 }, String) })],
    ['security_group_ids', () => keys.createRegistrationKey({ securityGroupIds: [group, group] })],
    [
      'security_group_ids',
      () =>
        keys.createRegistrationKey({
          securityGroupIds: Array.from({ length: 17 }, () => randomUUID()),
        }),
    ],
    [
      'name',
      () =>
        accounts.createServiceAccount({
          name: 'a\u0000',
          role: Role.AUDITOR,
          publicKey: publicKey(),
        }),
    ],
    ['ipv4_prefix', () => vpcs.createVpc({ name: 'a', ipv4Prefix: '64.0.0.0/2' })],
    ['ipv4_prefix', () => vpcs.createVpc({ name: 'a', ipv4Prefix: '168.0.0.0/7' })],
    ['ipv6_prefix', () => vpcs.createVpc({ name: 'a', ipv6Prefix: '4000::/16' })],
  ])('a bad %s is named as such', async (field, call) => {
    const error = await refusal(call());
    expect(error.code).toBe(Status.INVALID_ARGUMENT);
    expect(error.details.violations?.map((violation) => violation.field)).toEqual([field]);
  });
});

test('a repeated creation of a registration key says which key it made', async () => {
  const request = { requestId: randomUUID(), description: 'once' };
  const { registrationKey } = await keys.createRegistrationKey(request);
  const repeated = await refusal(keys.createRegistrationKey(request));
  expect([repeated.details.reason, repeated.details.metadata]).toEqual([
    'REQUEST_REPEATED',
    { registration_key_id: registrationKey?.id },
  ]);
  const other = await refusal(keys.createRegistrationKey({ ...request, description: 'other' }));
  expect(other.details.reason).toBe('REQUEST_ID_REUSED');
});

describe('service accounts', () => {
  test('are not given the key of another', async () => {
    const taken = publicKey();
    await accounts.createServiceAccount({ name: 'first', role: Role.AUDITOR, publicKey: taken });
    const { serviceAccount } = await accounts.createServiceAccount({
      name: 'second',
      role: Role.AUDITOR,
      publicKey: publicKey(),
    });
    const rotation = accounts.rotateServiceAccountKey({ id: serviceAccount?.id, publicKey: taken });
    expect((await refusal(rotation)).code).toBe(Status.ALREADY_EXISTS);
  });

  test('that are disabled are told so by their own key only', async () => {
    const key = Ed25519PrivateKey.generate('service-account');
    const { serviceAccount } = await accounts.createServiceAccount({
      name: 'dormant',
      role: Role.AUDITOR,
      publicKey: Buffer.from(key.publicKey),
    });
    await accounts.disableServiceAccount({ id: serviceAccount?.id });
    const { client, close } = anonymousCaller(plane);
    const reasonFor = async (signer: typeof key): Promise<string | undefined> => {
      const assertion = await createClientAssertion({
        subject: serviceAccount?.id ?? '',
        audience: testAudience,
        key: signer,
        now: new Date(),
      });
      const exchange = client(TokenServiceDefinition).exchangeAssertion({ assertion });
      return (await refusal(exchange)).details.reason;
    };
    expect(await reasonFor(key)).toBe('ACCOUNT_DISABLED');
    expect(await reasonFor(Ed25519PrivateKey.generate('service-account'))).toBe(
      'ASSERTION_INVALID',
    );
    close();
  });
});

describe('devices', () => {
  test('that have expired are told so by their own key only, and their calls of others are audited', async () => {
    const { secret } = await keys.createRegistrationKey({});
    const own = makeDeviceKeys();
    const { deviceId } = await enrol(plane, own, { registrationKey: secret });
    const caller = await deviceCaller(plane, deviceId, own.device);
    const wrongKind = await refusal(caller.client(VpcServiceDefinition).listVpcs({}));
    expect(wrongKind.details.reason).toBe('CREDENTIAL_KIND');
    const record = await plane.database
      .knex('audit_records')
      .where({ actor_id: deviceId, outcome: 'refused' })
      .first('resource_id');
    expect(record?.resource_id).toBe('/nexodus.api.v1.VpcService/ListVpcs');
    caller.close();
    const expired = { expires_at: new Date(0) };
    await plane.database.knex('devices').where({ id: deviceId }).update(expired);
    expect((await refusal(deviceCaller(plane, deviceId, own.device))).details.reason).toBe(
      'DEVICE_EXPIRED',
    );
    const stranger = makeDeviceKeys().device;
    expect((await refusal(deviceCaller(plane, deviceId, stranger))).details.reason).toBe(
      'ASSERTION_INVALID',
    );
  });

  test('that publish without end are slowed down', async () => {
    const { secret } = await keys.createRegistrationKey({});
    const own = makeDeviceKeys();
    const { deviceId } = await enrol(plane, own, { registrationKey: secret });
    const caller = await deviceCaller(plane, deviceId, own.device);
    const agent = caller.client(AgentServiceDefinition);
    const tries = Array.from({ length: 31 }, () => refusal(agent.publishBinding({})));
    const codes = (await Promise.all(tries)).map((error) => error.code);
    expect(codes.filter((code) => code === Status.RESOURCE_EXHAUSTED)).toHaveLength(1);
    caller.close();
  });
});

test('a start after the bootstrap account was deleted finds what there is', async () => {
  const own = await startControlPlane();
  onTestFinished(() => own.stop());
  const { bootstrap } = own.apiserver;
  const seed = {
    organizationName: 'demo',
    owner: { issuer: 'i', subject: 's', email: 'e', displayName: 'd' },
    serviceAccount: { name: 'bootstrap', publicKey: publicKey() },
  };
  const before = await bootstrap.find();
  await own.database.knex('service_accounts').where({ bootstrap: true }).delete();
  const after = { ...before, serviceAccountId: undefined, isServiceAccountEnabled: false };
  expect(await bootstrap.find()).toEqual(after);
  expect(await bootstrap.ensure(seed)).toEqual(after);
});
