import { type CallContext, createBinder } from '@nexodus/rpc';

/** Role in an organization, as stored. */
export type RoleName = 'owner' | 'admin' | 'member' | 'auditor';

/** A role that a caller holds. */
export interface RoleGrant {
  organizationId: string;
  role: RoleName;
}

/**
 * Who acts: a caller of the public API, or the service itself. `source` is the address of the connection, for limits and
 * the audit log.
 */
export type Caller =
  | { kind: 'service'; source: '' }
  | { kind: 'anonymous'; source: string }
  | { kind: 'user'; id: string; grants: readonly RoleGrant[]; source: string }
  | { kind: 'service_account'; id: string; grants: readonly RoleGrant[]; source: string }
  | { kind: 'device'; id: string; vpcId: string; organizationId: string; source: string };

/** What a handler of the public API gets besides the request. */
export type PublicContext = CallContext & { identity: Caller };

/** Binds a service to the public server. */
export const bindPublic = createBinder<'public', Caller>('public');

/** Id of a caller for keys and the audit log; empty for an anonymous one. */
export function callerId(caller: Caller): string {
  return caller.kind === 'anonymous' || caller.kind === 'service' ? '' : caller.id;
}

/** Roles of a caller; none for devices and anonymous callers. */
export function callerGrants(caller: Caller): readonly RoleGrant[] {
  return caller.kind === 'user' || caller.kind === 'service_account' ? caller.grants : [];
}

/** Address of a gRPC peer, without its port: "127.0.0.1:5" and "[::1]:5" as grpc-js writes them. */
export function sourceOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}
