import { PrincipalKind } from '@nexodus/contracts/policy';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UnknownRightError } from './authorizer.ts';
import { createCedarAuthorizer } from './cedar-authorizer.ts';
import { readPolicyFiles } from './policy-files.ts';

const files = readPolicyFiles();
const authorizer = createCedarAuthorizer(files);
const rights = [...files.schema.matchAll(/"([a-z-]+\.[a-z]+)"/g)]
  .map(([, name]) => name ?? '')
  .filter((name) => !/^(right|internal)\./.test(name));

const role = fc.constantFrom('owner', 'admin', 'member', 'auditor');
const text = fc.oneof(fc.uuid(), fc.string({ maxLength: 20 }), fc.constantFrom('" || true', '::"'));

test('nobody may do or know anything in an organization in which it holds no role', () => {
  fc.assert(
    fc.property(
      fc.record({
        kind: fc.constantFrom(
          PrincipalKind.USER,
          PrincipalKind.SERVICE_ACCOUNT,
          PrincipalKind.DEVICE,
        ),
        id: text,
        grants: fc.array(fc.record({ organizationId: text, role: fc.oneof(role, text) })),
      }),
      fc.constantFrom(...rights),
      fc.record({
        kind: fc.constantFrom('vpc', 'device', 'registration-key', 'service-account', 'user'),
        id: text,
        organizationId: text,
        ownerUserId: text,
      }),
      (principal, action, resource) => {
        fc.pre(principal.id !== resource.id);
        fc.pre(
          principal.grants.every(
            ({ organizationId }) => organizationId !== resource.organizationId,
          ),
        );
        try {
          const decision = authorizer.decide({ principal, action, resource });
          expect(decision).toEqual({ isAllowed: false, isVisible: false, policyIds: [] });
        } catch (error) {
          if (!(error instanceof UnknownRightError)) throw error;
        }
      },
    ),
    { numRuns: 1_000 },
  );
});
