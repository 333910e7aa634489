import { PrincipalKind, type PolicyServiceDefinition } from '@nexodus/contracts/policy';
import {
  failedPrecondition,
  notFound,
  RpcError,
  type RpcClient,
  Status,
  unavailable,
} from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import type { AuditLog } from './audit-log.ts';
import { type Caller, callerGrants, callerId } from './caller.ts';

/** What is acted on, as far as a decision depends on it. */
export interface ProtectedResource {
  /** Such as "vpc". */
  kind: string;
  /** Empty when it does not exist yet. */
  id: string;
  /** Name that the caller used for it, for the error. Default: the id. */
  name?: string;
  organizationId: string;
  ownerUserId?: string;
}

/** Decides whether callers may act. */
export interface Authorizer {
  /**
   * Returns when the caller may do the action; audits a refusal.
   *
   * @throws {RpcError} PERMISSION_DENIED, or NOT_FOUND for what the caller may not know of, or UNAVAILABLE when no
   * decision can be had
   */
  require(caller: Caller, action: string, resource: ProtectedResource): Promise<void>;
  /** Organizations of the caller in which it may do the action on resources of a kind; for lists. */
  organizationsFor(caller: Caller, action: string, kind: string): Promise<string[]>;
}

/** Asks the policy service. Without its answer nothing is allowed. */
export function createAuthorizer(
  policy: Pick<RpcClient<typeof PolicyServiceDefinition>, 'authorize'>,
  audit: AuditLog,
): Authorizer {
  const decide = async (
    caller: Caller,
    action: string,
    resource: ProtectedResource,
  ): Promise<{ allowed: boolean; visible: boolean }> => {
    try {
      return await policy.authorize({
        principal: principalOf(caller),
        action,
        resource: {
          kind: resource.kind,
          id: resource.id,
          organizationId: resource.organizationId,
          ownerUserId: resource.ownerUserId,
        },
      });
    } catch (error) {
      throw unavailable('no decision can be made right now: try again', {
        retryAfterMs: 1_000,
        cause: error,
      });
    }
  };
  return {
    require: async (caller, action, resource) => {
      const { allowed, visible } = await decide(caller, action, resource);
      if (allowed) return;
      await audit.refused(caller, {
        action,
        kind: resource.kind,
        id: resource.id,
        organizationId: resource.organizationId,
      });
      if (!visible) throw notFound(resource.kind, resource.name ?? resource.id);
      throw new RpcError(Status.PERMISSION_DENIED, `your role does not allow ${action}`, {
        reason: 'ROLE_INSUFFICIENT',
        metadata: { action },
      });
    },
    organizationsFor: async (caller, action, kind) => {
      const allowed: string[] = [];
      for (const { organizationId } of callerGrants(caller)) {
        const decision = await decide(caller, action, { kind, id: '', organizationId });
        if (decision.allowed) allowed.push(organizationId);
      }
      return allowed;
    },
  };
}

function principalOf(caller: Caller): {
  kind: PrincipalKind;
  id: string;
  grants: { organizationId: string; role: string }[];
} {
  const kinds = {
    anonymous: PrincipalKind.UNSPECIFIED,
    service: PrincipalKind.UNSPECIFIED,
    user: PrincipalKind.USER,
    service_account: PrincipalKind.SERVICE_ACCOUNT,
    device: PrincipalKind.DEVICE,
  };
  return {
    kind: kinds[caller.kind],
    id: callerId(caller),
    grants: callerGrants(caller).map(({ organizationId, role }) => ({ organizationId, role })),
  };
}

/**
 * The organization that a request means: the one it names, or the caller's only one.
 *
 * @throws {RpcError} FAILED_PRECONDITION when that is not clear, NOT_FOUND for what is no id
 */
export function chosenOrganization(caller: Caller, named: string): string {
  if (named !== '' && !isUuid(named)) throw notFound('organization', named);
  if (named !== '') return named;
  const grants = callerGrants(caller);
  const [only] = grants;
  if (only === undefined || grants.length > 1) {
    throw failedPrecondition(
      'ORGANIZATION_AMBIGUOUS',
      `you belong to ${grants.length} organizations: name one (organization_id)`,
    );
  }
  return only.organizationId;
}
