import { PrincipalKind } from '@nexodus/contracts/policy';
import { describe, expect, test } from 'vitest';
import { type AuthorizationDecision, UnknownRightError } from './authorizer.ts';
import { createCedarAuthorizer, InvalidPolicyError } from './cedar-authorizer.ts';
import { readPolicyFiles } from './policy-files.ts';

const files = readPolicyFiles();
const authorizer = createCedarAuthorizer(files);
const organizationId = '018f0000-0000-7000-8000-0000000000a1';
const me = '018f0000-0000-7000-8000-0000000000b1';
const somebodyElse = '018f0000-0000-7000-8000-0000000000b2';

/** Rights by role: o = owner, a = admin, m = member, r = auditor. */
const table: readonly (readonly [action: string, kinds: string, roles: string])[] = [
  ['organization.read', 'organization', 'oamr'],
  ['organization.update', 'organization', 'oa'],
  ['organization.delete', 'organization', 'o'],
  ['vpc.create', 'vpc organization', 'oa'],
  ['vpc.read', 'vpc organization', 'oamr'],
  ['vpc.delete', 'vpc', 'oa'],
  ['device.enroll', 'device vpc organization', 'oam'],
  ['device.read', 'device vpc organization', 'oamr'],
  ['device.delete', 'device', 'oa'],
  ['device.connect', 'device', ''],
  ['device.publish', 'device', ''],
  ['registration-key.create', 'registration-key vpc organization', 'oa'],
  ['registration-key.read', 'registration-key vpc organization', 'oar'],
  ['registration-key.delete', 'registration-key', 'oa'],
  ['service-account.create', 'service-account organization', 'oa'],
  ['service-account.read', 'service-account organization', 'oar'],
  ['service-account.rotate', 'service-account', 'oa'],
  ['service-account.disable', 'service-account', 'oa'],
  ['service-account.delete', 'service-account', 'oa'],
  ['user.read', 'user organization', 'oamr'],
];
const kinds = ['organization', 'vpc', 'device', 'registration-key', 'service-account', 'user'];
const roles = { o: 'owner', a: 'admin', m: 'member', r: 'auditor' } as const;

interface Asked {
  kind?: PrincipalKind;
  principalId?: string;
  role?: string;
  action: string;
  resourceKind: string;
  resourceId?: string;
  resourceOrganization?: string;
  owner?: string;
}

function ask(asked: Asked): AuthorizationDecision {
  const resourceOrganization = asked.resourceOrganization ?? organizationId;
  return authorizer.decide({
    principal: {
      kind: asked.kind ?? PrincipalKind.USER,
      id: asked.principalId ?? me,
      grants: asked.role === undefined ? [] : [{ organizationId, role: asked.role }],
    },
    action: asked.action,
    resource: {
      kind: asked.resourceKind,
      id: asked.resourceId ?? (asked.resourceKind === 'organization' ? resourceOrganization : 'x'),
      organizationId: resourceOrganization,
      ownerUserId: asked.owner ?? '',
    },
  });
}

const cells = table.flatMap(([action, resourceKinds, allowed]) =>
  resourceKinds.split(' ').flatMap((resourceKind) =>
    Object.entries(roles).map(([letter, role]) => ({
      action,
      resourceKind,
      role,
      isAllowed: allowed.includes(letter),
    })),
  ),
);

describe('roles', () => {
  test.each(cells)('$role, $action on $resourceKind: $isAllowed', (cell) => {
    expect(ask(cell)).toMatchObject({ isAllowed: cell.isAllowed, isVisible: true });
  });

  test.each(cells)('$role of another organization, $action on $resourceKind: nothing', (cell) => {
    const foreign = ask({ ...cell, resourceOrganization: '018f0000-0000-7000-8000-0000000000a2' });
    expect(foreign).toEqual({ isAllowed: false, isVisible: false, policyIds: [] });
  });

  test.each(cells)('an account as $role, $action on $resourceKind', (cell) => {
    const decision = ask({ ...cell, kind: PrincipalKind.SERVICE_ACCOUNT });
    const isOwner = cell.role === 'owner';
    expect(decision.isAllowed).toBe(cell.isAllowed && !isOwner);
    expect(decision.isVisible).toBe(!isOwner);
  });

  test.each(['', 'Owner', 'root', 'owner ', '"] || true', '__proto__'])(
    'the unknown role "%s" gives no right',
    (role) => {
      for (const cell of cells)
        expect(ask({ ...cell, role })).toMatchObject({ isAllowed: false, isVisible: false });
    },
  );
});

describe('what is one’s own', () => {
  const own = { action: 'device.delete', resourceKind: 'device', owner: me };

  test('a member deletes the devices that it owns, and no others', () => {
    expect(ask({ ...own, role: 'member' })).toEqual({
      isAllowed: true,
      isVisible: true,
      policyIds: ['person-deletes-own-device'],
    });
    expect(ask({ ...own, role: 'member', owner: somebodyElse }).isAllowed).toBe(false);
    expect(ask({ ...own, role: 'auditor' }).isAllowed).toBe(false);
    expect(ask({ ...own, role: 'member', kind: PrincipalKind.SERVICE_ACCOUNT }).isAllowed).toBe(
      false,
    );
  });

  test('who left the organization has no right over the devices left there', () => {
    expect(ask(own)).toMatchObject({ isAllowed: false, isVisible: false });
  });

  test('a person reads itself without any role', () => {
    const itself = { action: 'user.read', resourceKind: 'user', resourceOrganization: '' };
    expect(ask({ ...itself, resourceId: me }).isAllowed).toBe(true);
    expect(ask({ ...itself, resourceId: somebodyElse })).toMatchObject({ isVisible: false });
  });

  test.each(['device.connect', 'device.publish'])('a device may %s for itself only', (action) => {
    const device = { kind: PrincipalKind.DEVICE, action, resourceKind: 'device' } as const;
    expect(ask({ ...device, resourceId: me }).isAllowed).toBe(true);
    expect(ask({ ...device, resourceId: somebodyElse })).toMatchObject({
      isAllowed: false,
      isVisible: false,
    });
  });

  test('a device has no other right, whatever roles are claimed for it', () => {
    for (const cell of cells) {
      if (['device.connect', 'device.publish'].includes(cell.action)) continue;
      expect(ask({ ...cell, kind: PrincipalKind.DEVICE }).isAllowed).toBe(false);
    }
  });
});

test('creating may be asked on an organization that is named as its id or as what it belongs to', () => {
  const asked = { role: 'admin', action: 'vpc.create', resourceKind: 'organization' };
  expect(ask({ ...asked, resourceId: '' }).isAllowed).toBe(true);
  expect(ask({ ...asked, resourceOrganization: '', resourceId: organizationId }).isAllowed).toBe(
    true,
  );
  expect(ask({ ...asked, resourceOrganization: '', resourceId: '' }).isAllowed).toBe(false);
  expect(ask({ ...asked, resourceId: somebodyElse }).isAllowed).toBe(false);
});

describe('nobody', () => {
  test.each([PrincipalKind.UNSPECIFIED, PrincipalKind.UNRECOGNIZED])(
    'of kind %s may do anything',
    (kind) => {
      for (const cell of cells)
        expect(ask({ ...cell, kind })).toEqual({
          isAllowed: false,
          isVisible: false,
          policyIds: [],
        });
    },
  );

  test('without an id may do anything, nor owns what has no owner', () => {
    for (const cell of cells)
      expect(ask({ ...cell, principalId: '', resourceId: '' }).isAllowed).toBe(false);
  });

  test('is of the empty organization', () => {
    const decision = authorizer.decide({
      principal: {
        kind: PrincipalKind.USER,
        id: me,
        grants: [{ organizationId: '', role: 'owner' }],
      },
      action: 'vpc.read',
      resource: { kind: 'vpc', id: 'x', organizationId: '', ownerUserId: '' },
    });
    expect(decision).toMatchObject({ isAllowed: false, isVisible: false });
  });
});

describe('questions about what does not exist', () => {
  test.each(['', 'vpc.destroy', 'internal.see', 'right.owner', 'constructor', 'VPC.READ'])(
    'the right "%s" is refused',
    (action) => {
      expect(() => ask({ role: 'owner', action, resourceKind: 'vpc' })).toThrow(UnknownRightError);
    },
  );

  test('a kind, or a right on a kind that has none such, is refused', () => {
    const exists = new Set(cells.map(({ action, resourceKind }) => `${action} ${resourceKind}`));
    for (const [action] of table)
      for (const resourceKind of [...kinds, '', 'Vpc', 'toString']) {
        if (exists.has(`${action} ${resourceKind}`)) continue;
        expect(() => ask({ role: 'owner', action, resourceKind })).toThrow(UnknownRightError);
      }
  });
});

describe('policies that cannot be used', () => {
  const withPolicy = (text: string) => ({ ...files, policies: { 'x.cedar': text } });
  test.each([
    ['do not parse', withPolicy('permit (principal'), 'x.cedar'],
    ['have no id', withPolicy('permit (principal, action, resource);'), 'no @id'],
    [
      'name an action that the schema does not know',
      withPolicy('@id("a") permit (principal, action == Action::"vpc.destroy", resource);'),
      'vpc.destroy',
    ],
    [
      'read an attribute that may be absent',
      withPolicy(
        '@id("a") permit (principal is Caller::User, action == Action::"vpc.read", resource is Resource::Vpc) when { principal.ownerOf.contains(resource.organization) };',
      ),
      'organization',
    ],
    [
      'have an id twice',
      {
        ...files,
        policies: { ...files.policies, 'again.cedar': files.policies['own.cedar'] ?? '' },
      },
      'twice',
    ],
    ['have a schema that does not parse', { ...files, schema: 'entity {' }, 'cannot be used'],
  ])('because they %s are refused at start', (_name, texts, message) => {
    expect(() => createCedarAuthorizer(texts)).toThrow(InvalidPolicyError);
    expect(() => createCedarAuthorizer(texts)).toThrow(message);
  });
});
