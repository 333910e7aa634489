/**
 * People of a real OpenID Connect provider at the control plane: what a first login makes, and that what is another's does
 * not exist.
 */
import { createCertificateAuthority } from '@nexodus/certificates';
import {
  DeviceServiceDefinition,
  OrganizationServiceDefinition,
  RegistrationKeyServiceDefinition,
  Role,
  ServiceAccountServiceDefinition,
  UserServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { RpcError, Status } from '@nexodus/rpc';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiCaller, userCaller } from '../control-plane/callers.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { enrol, makeDeviceKeys } from '../control-plane/test-device.ts';
import { startTestIssuer, type TestIssuer } from './test-issuer.ts';

const ada = { subject: 'ada-1', email: 'sam@one.example' };
const bob = { subject: 'bob-2', email: 'sam@two.example' };
/** Somebody else's subject, at another issuer that is trusted too. */
const impostor = { subject: ada.subject, email: ada.email };

const stack = new AsyncDisposableStack();
let issuer: TestIssuer;
let otherIssuer: TestIssuer;
let plane: ControlPlane;
beforeAll(async () => {
  const ca = await createCertificateAuthority({ commonName: 'Test CA', now: new Date(), years: 1 });
  issuer = stack.use(await startTestIssuer({ ca, accounts: [ada, bob] }));
  otherIssuer = stack.use(await startTestIssuer({ ca, accounts: [impostor] }));
  plane = await startControlPlane({ issuers: [issuer.trusted, otherIssuer.trusted] });
  stack.defer(() => plane.stop());
});
afterAll(() => stack.disposeAsync());

/** A caller that is closed with the tests of the file. */
function caller(idToken: string): ApiCaller {
  const made = userCaller(plane, idToken);
  stack.defer(() => made.close());
  return made;
}

// One story: who came first is what the later chapters build on.
describe('people of several issuers', { shuffle: false }, () => {
  describe('a first login', () => {
    test('of five calls at once makes one user with an organization, a default VPC and a default security group', async () => {
      const me = caller(await issuer.logIn(ada));
      const answers = await Promise.all([
        me.client(UserServiceDefinition).whoAmI({}),
        me.client(UserServiceDefinition).getUser({ id: 'me' }),
        me.client(OrganizationServiceDefinition).listOrganizations({}),
        me.client(VpcServiceDefinition).listVpcs({}),
        me.client(RegistrationKeyServiceDefinition).createRegistrationKey({}),
      ]);
      const [{ principal, memberships }, { user }, { organizations }, { vpcs }] = answers;
      expect(user).toMatchObject({ ...ada, issuer: issuer.trusted.url, emailVerified: true });
      expect(principal).toMatchObject({ $case: 'user', value: { id: user?.id } });
      expect(organizations).toMatchObject([{ name: 'sam', role: Role.OWNER }]);
      const [organization] = organizations;
      expect(memberships.map(({ organizationId }) => organizationId)).toEqual([organization?.id]);
      expect(vpcs).toMatchObject([
        { name: 'default', isDefault: true, organizationId: organization?.id },
      ]);
      const { knex } = plane.database;
      const users = await knex('users').where({ subject: ada.subject });
      const groups = await knex('security_groups').where({ vpc_id: vpcs[0]?.id });
      const records = await knex('audit_records')
        .where({ action: 'organization.create', actor_id: user?.id })
        .select('outcome');
      expect(users).toHaveLength(1);
      expect(groups).toMatchObject([{ name: 'default', is_default: true }]);
      expect(records).toEqual([{ outcome: 'done' }]);
      // Whatever the calls that lost the race began is gone: only the bootstrap's organization is there besides.
      expect(await knex('organizations').select('name').orderBy('name')).toEqual([
        { name: 'demo' },
        { name: 'sam' },
      ]);
    });

    test('of somebody with the same local part or the same subject elsewhere makes another user and organization', async () => {
      const tokens = [await issuer.logIn(bob), await otherIssuer.logIn(impostor)];
      const ids = [await whoIs(await issuer.logIn(ada))];
      const names: string[] = [];
      for (const token of tokens) {
        ids.push(await whoIs(token));
        const organizations = caller(token).client(OrganizationServiceDefinition);
        names.push(...(await organizations.listOrganizations({})).organizations.map(nameOf));
      }
      expect(new Set(ids).size).toBe(3);
      expect(names).toHaveLength(2);
      expect(new Set(['sam', ...names]).size).toBe(3);
    });

    test('is of the person, not of the address: a changed address keeps the user', async () => {
      const before = await whoIs(await issuer.logIn(ada));
      const email = 'ada@one.example';
      const renamed = await issuer.sign({ sub: ada.subject, email, email_verified: false });
      expect(await whoIs(renamed)).toBe(before);
      const { user } = await caller(renamed).client(UserServiceDefinition).getUser({ id: 'me' });
      expect(user).toMatchObject({ email, emailVerified: false });
    });
  });

  function whoIs(idToken: string): Promise<string> {
    return idOf(caller(idToken));
  }

  async function idOf(me: ApiCaller): Promise<string> {
    const { principal } = await me.client(UserServiceDefinition).whoAmI({});
    return principal?.$case === 'user' ? principal.value.id : '';
  }

  function nameOf({ name }: { name: string }): string {
    return name;
  }

  describe("another's", () => {
    let adas: ApiCaller;
    let bobs: ApiCaller;
    let owned: Readonly<
      Record<'vpc' | 'key' | 'account' | 'device' | 'organization' | 'user', string>
    >;
    beforeAll(async () => {
      adas = caller(await issuer.logIn(ada));
      bobs = caller(await issuer.logIn(bob));
      owned = await furnish(adas);
      await furnish(bobs);
    });

    /** Makes one of each. */
    async function furnish(me: ApiCaller): Promise<typeof owned> {
      const { vpc } = await me.client(VpcServiceDefinition).createVpc({ name: 'own' });
      const publicKey = Buffer.from(Ed25519PrivateKey.generate('service-account').publicKey);
      const { serviceAccount } = await me
        .client(ServiceAccountServiceDefinition)
        .createServiceAccount({ name: 'robot', role: Role.ADMIN, publicKey });
      const { registrationKey, secret } = await me
        .client(RegistrationKeyServiceDefinition)
        .createRegistrationKey({ vpcId: vpc?.id });
      const { deviceId } = await enrol(plane, makeDeviceKeys(), { registrationKey: secret });
      return {
        vpc: vpc?.id ?? '',
        key: registrationKey?.id ?? '',
        account: serviceAccount?.id ?? '',
        device: deviceId,
        organization: vpc?.organizationId ?? '',
        user: await idOf(me),
      };
    }

    test('objects are in no list, and each sees the own ones', async () => {
      for (const [me, counts] of [
        [adas, true],
        [bobs, false],
      ] as const) {
        const ids = await listedIds(me);
        const { user: _, ...listable } = owned;
        for (const id of Object.values(listable))
          expect([id, ids.includes(id)]).toEqual([id, counts]);
      }
    });

    test('objects answer NOT_FOUND to get, delete and change, as what never was', async () => {
      const publicKey = Buffer.from(Ed25519PrivateKey.generate('service-account').publicKey);
      const vpcs = bobs.client(VpcServiceDefinition);
      const devices = bobs.client(DeviceServiceDefinition);
      const keys = bobs.client(RegistrationKeyServiceDefinition);
      const accounts = bobs.client(ServiceAccountServiceDefinition);
      const calls: [string, (id: string) => Promise<unknown>][] = [
        [
          owned.organization,
          (id) => bobs.client(OrganizationServiceDefinition).getOrganization({ id }),
        ],
        [owned.user, (id) => bobs.client(UserServiceDefinition).getUser({ id })],
        [owned.vpc, (id) => vpcs.getVpc({ id })],
        [owned.vpc, (id) => vpcs.deleteVpc({ id })],
        [owned.device, (id) => devices.getDevice({ id })],
        [owned.device, (id) => devices.deleteDevice({ id })],
        [owned.key, (id) => keys.getRegistrationKey({ id })],
        [owned.key, (id) => keys.deleteRegistrationKey({ id })],
        [owned.vpc, (vpcId) => keys.createRegistrationKey({ vpcId })],
        [owned.account, (id) => accounts.getServiceAccount({ id })],
        [owned.account, (id) => accounts.rotateServiceAccountKey({ id, publicKey })],
        [owned.account, (id) => accounts.disableServiceAccount({ id })],
        [owned.account, (id) => accounts.deleteServiceAccount({ id })],
        [
          owned.organization,
          (organizationId) => vpcs.createVpc({ organizationId, name: 'theirs' }),
        ],
        [
          owned.organization,
          (organizationId) =>
            accounts.createServiceAccount({
              organizationId,
              name: 'x',
              role: Role.AUDITOR,
              publicKey,
            }),
        ],
      ];
      for (const [id, call] of calls) {
        const foreign = await answerTo(call, id);
        expect([String(call), foreign]).toEqual([String(call), await answerTo(call, nothing)]);
        expect(foreign).toMatchObject({ code: Status.NOT_FOUND });
      }
    });

    test('organization or VPC gives the lists that one gives that never was', async () => {
      const calls: [string, (id: string) => Promise<unknown>][] = [
        [
          owned.organization,
          (organizationId) => bobs.client(VpcServiceDefinition).listVpcs({ organizationId }),
        ],
        [
          owned.organization,
          (organizationId) => bobs.client(DeviceServiceDefinition).listDevices({ organizationId }),
        ],
        [owned.vpc, (vpcId) => bobs.client(DeviceServiceDefinition).listDevices({ vpcId })],
        [
          owned.organization,
          (organizationId) =>
            bobs.client(RegistrationKeyServiceDefinition).listRegistrationKeys({ organizationId }),
        ],
        [
          owned.organization,
          (organizationId) =>
            bobs.client(ServiceAccountServiceDefinition).listServiceAccounts({ organizationId }),
        ],
      ];
      for (const [id, call] of calls)
        expect([String(call), await answerTo(call, id)]).toEqual([
          String(call),
          await answerTo(call, nothing),
        ]);
    });

    test('objects are all there afterwards', async () => {
      const { user: _, ...listable } = owned;
      expect(await listedIds(adas)).toEqual(expect.arrayContaining(Object.values(listable)));
    });
  });

  /** Id of nothing. */
  const nothing = '00000000-0000-7000-8000-000000000000';

  /** An answer or a refusal, word for word, but for the id that was asked for. */
  async function answerTo(call: (id: string) => Promise<unknown>, id: string): Promise<unknown> {
    try {
      return await call(id);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const { code, message, details } = error;
      const words = JSON.stringify([message, details]).replaceAll(id, nothing);
      return { code, words };
    }
  }

  /** Ids of everything that is in a list. */
  async function listedIds(me: ApiCaller): Promise<string[]> {
    const { organizations } = await me.client(OrganizationServiceDefinition).listOrganizations({});
    const { vpcs } = await me.client(VpcServiceDefinition).listVpcs({});
    const { devices } = await me.client(DeviceServiceDefinition).listDevices({});
    const keys = await me.client(RegistrationKeyServiceDefinition).listRegistrationKeys({});
    const accounts = await me.client(ServiceAccountServiceDefinition).listServiceAccounts({});
    const all = [organizations, vpcs, devices, keys.registrationKeys, accounts.serviceAccounts];
    return all.flat().map(({ id }) => id);
  }
});
