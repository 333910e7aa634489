import { randomUUID } from 'node:crypto';
import { eventually } from '@nexodus/clock/testing';
import {
  DeviceServiceDefinition,
  OrganizationServiceDefinition,
  RegistrationKeyServiceDefinition,
  Role,
  ServiceAccountServiceDefinition,
  ServiceInfoServiceDefinition,
  TokenServiceDefinition,
  UserServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { createClientAssertion, Ed25519PrivateKey } from '@nexodus/device-identity';
import { createRpcClient, Status } from '@nexodus/rpc';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accountCaller, anonymousCaller, type ApiCaller, proofMetadata } from './callers.ts';
import { type ControlPlane, startControlPlane, testAudience } from './control-plane.ts';
import { refusal } from './refusal.ts';
import { enrol, makeDeviceKeys } from './test-device.ts';

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

async function withRole(role: Role, name: string): Promise<ApiCaller> {
  const key = Ed25519PrivateKey.generate('service-account');
  const { serviceAccount } = await admin
    .client(ServiceAccountServiceDefinition)
    .createServiceAccount({ name, role, publicKey: Buffer.from(key.publicKey) });
  return accountCaller(plane, serviceAccount?.id ?? '', key);
}

/** Names of all VPCs, page for page to the last. */
async function pagesOfOneVpc(): Promise<string[][]> {
  const pages: string[][] = [];
  let pageToken = '';
  do {
    const page = await admin.client(VpcServiceDefinition).listVpcs({ pageSize: 1, pageToken });
    pages.push(page.vpcs.map((vpc) => vpc.name));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return pages;
}

describe('VPCs', () => {
  test('are created with prefixes of their own or the next of the organization, listed in pages, and deleted when empty', async () => {
    const vpcs = admin.client(VpcServiceDefinition);
    const { vpcs: before } = await vpcs.listVpcs({});
    expect(before[0]).toMatchObject({ name: 'default', isDefault: true });
    const made = await vpcs.createVpc({ name: 'lab', ipv4Prefix: '10.9.0.0/24' });
    expect(made.vpc).toMatchObject({
      name: 'lab',
      ipv4Prefix: '10.9.0.0/24',
      isDefault: false,
      revision: 1n,
    });
    expect(made.vpc?.ipv6Prefix).toMatch(/^fd.*::\/64$/);
    const names = [...before.map((vpc) => vpc.name), 'lab'];
    expect(await pagesOfOneVpc()).toEqual(names.map((name) => [name]));
    expect((await refusal(vpcs.deleteVpc({ id: made.vpc?.id, etag: 'other' }))).code).toBe(
      Status.ABORTED,
    );
    await vpcs.deleteVpc({ id: made.vpc?.id, etag: made.vpc?.etag });
    expect((await refusal(vpcs.getVpc({ id: made.vpc?.id }))).code).toBe(Status.NOT_FOUND);
  });

  test.each([
    ['name', { name: 'Not a label' }],
    ['ipv4_prefix', { name: 'a', ipv4Prefix: '10.9.0.1/24' }],
    ['ipv4_prefix', { name: 'a', ipv4Prefix: '10.9.0.0/30' }],
    ['ipv4_prefix', { name: 'a', ipv4Prefix: 'fd00::/64' }],
    ['ipv4_prefix', { name: 'a', ipv4Prefix: '127.0.0.0/8' }],
    ['ipv6_prefix', { name: 'a', ipv6Prefix: 'fe80::/64' }],
  ])('a bad %s is named: %j', async (field, request) => {
    const error = await refusal(admin.client(VpcServiceDefinition).createVpc(request));
    expect(error.code).toBe(Status.INVALID_ARGUMENT);
    expect(error.details.violations?.map((violation) => violation.field)).toEqual([field]);
  });

  test('the default VPC stays, and one with devices says how many', async () => {
    const vpcs = admin.client(VpcServiceDefinition);
    expect((await refusal(vpcs.deleteVpc({ id: plane.vpcId }))).details.reason).toBe(
      'VPC_IS_DEFAULT',
    );
    const { vpc } = await vpcs.createVpc({ name: 'full' });
    const { secret } = await admin
      .client(RegistrationKeyServiceDefinition)
      .createRegistrationKey({ vpcId: vpc?.id });
    const { deviceId } = await enrol(plane, makeDeviceKeys(), { registrationKey: secret });
    const error = await refusal(vpcs.deleteVpc({ id: vpc?.id }));
    expect([error.details.reason, error.details.metadata?.['devices']]).toEqual([
      'VPC_NOT_EMPTY',
      '1',
    ]);
    await admin.client(DeviceServiceDefinition).deleteDevice({ id: deviceId });
    await vpcs.deleteVpc({ id: vpc?.id });
    await eventually(
      async () =>
        (await refusal(plane.ipam.getPool({ poolId: vpc?.id }))).code === Status.NOT_FOUND,
    );
  });

  test('a repeated create with the same request id gives the same VPC; another request under that id is refused', async () => {
    const vpcs = admin.client(VpcServiceDefinition);
    const request = { name: 'twice', requestId: randomUUID() };
    const [first, second] = await Promise.all([vpcs.createVpc(request), vpcs.createVpc(request)]);
    expect(second.vpc?.id).toBe(first.vpc?.id);
    expect((await refusal(vpcs.createVpc({ ...request, name: 'thrice' }))).details.reason).toBe(
      'REQUEST_ID_REUSED',
    );
    expect((await refusal(vpcs.createVpc({ name: 'twice' }))).code).toBe(Status.ALREADY_EXISTS);
  });
});

describe('roles', () => {
  test('a member and an auditor read; neither creates VPCs, keys or accounts', async () => {
    for (const [role, name] of [
      [Role.MEMBER, 'member'],
      [Role.AUDITOR, 'auditor'],
    ] as const) {
      const caller = await withRole(role, name);
      expect((await caller.client(VpcServiceDefinition).listVpcs({})).vpcs.length).toBeGreaterThan(
        0,
      );
      const refusals = [
        caller.client(VpcServiceDefinition).createVpc({ name: 'mine' }),
        caller.client(RegistrationKeyServiceDefinition).createRegistrationKey({}),
        caller
          .client(ServiceAccountServiceDefinition)
          .createServiceAccount({ name: 'x', role: Role.AUDITOR, publicKey: Buffer.alloc(32, 7) }),
      ];
      const codes = (await Promise.all(refusals.map(refusal))).map((error) => error.code);
      expect(codes).toEqual(refusals.map(() => Status.PERMISSION_DENIED));
      caller.close();
    }
  });

  test('a service account never becomes owner', async () => {
    const publicKey = Buffer.from(Ed25519PrivateKey.generate('service-account').publicKey);
    const accounts = admin.client(ServiceAccountServiceDefinition);
    const error = await refusal(
      accounts.createServiceAccount({ name: 'boss', role: Role.OWNER, publicKey }),
    );
    expect(error.details.violations?.[0]?.field).toBe('role');
  });

  test('refused and done acts are in the audit log', async () => {
    const member = await withRole(Role.MEMBER, 'audited');
    const { vpc } = await admin.client(VpcServiceDefinition).createVpc({ name: 'audited' });
    await refusal(member.client(VpcServiceDefinition).createVpc({ name: 'refused' }));
    const { principal } = await member.client(UserServiceDefinition).whoAmI({});
    const records = plane.database.knex('audit_records').orderBy('id');
    const done = { action: 'vpc.create', outcome: 'done', actor_id: plane.accountId };
    const refused = { action: 'vpc.create', outcome: 'refused', actor_id: principal?.value };
    expect(await records.clone().where({ resource_id: vpc?.id })).toMatchObject([done]);
    expect(await records.clone().where({ actor_id: principal?.value })).toMatchObject([refused]);
    member.close();
  });
});

describe('service accounts', () => {
  test('a rotated key ends the tokens of the key before; a disabled account opens nothing', async () => {
    const key = Ed25519PrivateKey.generate('service-account');
    const accounts = admin.client(ServiceAccountServiceDefinition);
    const { serviceAccount } = await accounts.createServiceAccount({
      name: 'rotating',
      role: Role.AUDITOR,
      publicKey: Buffer.from(key.publicKey),
    });
    const id = serviceAccount?.id ?? '';
    const before = await accountCaller(plane, id, key);
    const next = Ed25519PrivateKey.generate('service-account');
    await accounts.rotateServiceAccountKey({ id, publicKey: Buffer.from(next.publicKey) });
    expect((await refusal(before.client(UserServiceDefinition).whoAmI({}))).code).toBe(
      Status.UNAUTHENTICATED,
    );
    const after = await accountCaller(plane, id, next);
    const { principal } = await after.client(UserServiceDefinition).whoAmI({});
    expect(principal).toEqual({ $case: 'serviceAccountId', value: id });
    await accounts.disableServiceAccount({ id });
    expect((await refusal(after.client(UserServiceDefinition).whoAmI({}))).details.reason).toBe(
      'ACCOUNT_DISABLED',
    );
    before.close();
    after.close();
  });
});

describe('credentials', () => {
  test('nothing opens without one, and only what is meant to', async () => {
    const nobody = anonymousCaller(plane);
    const { audiences, issuers } = await nobody
      .client(ServiceInfoServiceDefinition)
      .getServiceInfo({});
    expect([audiences, issuers.length]).toEqual([[testAudience], 1]);
    const attempts: Promise<unknown>[] = [
      nobody.client(VpcServiceDefinition).listVpcs({}),
      nobody.client(OrganizationServiceDefinition).listOrganizations({}),
      nobody.client(UserServiceDefinition).whoAmI({}),
    ];
    const reasons = (await Promise.all(attempts.map(refusal))).map((error) => error.details.reason);
    expect(reasons).toEqual(attempts.map(() => 'CREDENTIAL_MISSING'));
    nobody.close();
  });

  test('a proof is good once, for one method, with its token, by its key', async () => {
    const { channel, close, client } = anonymousCaller(plane);
    const key = plane.accountKey;
    const assertion = await createClientAssertion({
      subject: plane.accountId,
      audience: testAudience,
      key,
      now: new Date(),
    });
    const tokens = client(TokenServiceDefinition);
    const { accessToken } = await tokens.exchangeAssertion({ assertion });
    expect((await refusal(tokens.exchangeAssertion({ assertion }))).details.reason).toBe(
      'ASSERTION_REPLAYED',
    );
    const path = '/nexodus.api.v1.UserService/WhoAmI';
    const callWith = (metadata: Record<string, string>): Promise<unknown> =>
      createRpcClient(UserServiceDefinition, channel, {
        authorize: () => Promise.resolve(metadata),
      }).whoAmI({});
    const good = await proofMetadata(accessToken, key, path);
    await callWith(good);
    expect((await refusal(callWith(good))).details.reason).toBe('PROOF_REPLAYED');
    const otherMethod = await proofMetadata(
      accessToken,
      key,
      '/nexodus.api.v1.VpcService/ListVpcs',
    );
    expect((await refusal(callWith(otherMethod))).details.reason).toBe('TOKEN_INVALID');
    const otherKey = await proofMetadata(
      accessToken,
      Ed25519PrivateKey.generate('service-account'),
      path,
    );
    expect((await refusal(callWith(otherKey))).details.reason).toBe('TOKEN_INVALID');
    const { authorization } = await proofMetadata(accessToken, key, path);
    expect((await refusal(callWith({ authorization: authorization ?? '' }))).details.reason).toBe(
      'PROOF_MISSING',
    );
    close();
  });

  test('an assertion of a clock that is 5 minutes off names the skew', async () => {
    const { close, client } = anonymousCaller(plane);
    const assertion = await createClientAssertion({
      subject: plane.accountId,
      audience: testAudience,
      key: plane.accountKey,
      now: new Date(Date.now() - 300_000),
    });
    const error = await refusal(client(TokenServiceDefinition).exchangeAssertion({ assertion }));
    expect([error.details.reason, Number(error.details.metadata?.['skew_seconds'])]).toEqual([
      'CLOCK_SKEW',
      expect.closeTo(-300, -1),
    ]);
    close();
  });
});
