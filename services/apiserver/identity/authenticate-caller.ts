/**
 * Who calls the public API.
 *
 * A user shows an ID token (scheme Bearer). A device or a service account shows an access token that is bound to its key
 * (scheme DPoP) and, with each call, a fresh proof by that key. The token is checked, the proof is checked and used up,
 * and then the caller's present state: a deleted device's token opens nothing however long it had to live.
 */
import type { Clock } from '@nexodus/clock';
import type { Database } from '@nexodus/database';
import {
  type AccessToken,
  ed25519Thumbprint,
  type Ed25519PublicKey,
  parseEd25519PublicKey,
  verifyAccessToken,
  verifyProofOfPossession,
} from '@nexodus/device-identity';
import { type IncomingCall, RpcError, Status, unauthenticated } from '@nexodus/rpc';
import { type Right, rights } from '../core/rights.ts';
import type { AuditLog } from './audit-log.ts';
import { type Caller, sourceOf } from './caller.ts';
import { forAnyAudience, refuseToken } from './token-refusal.ts';
import type { OidcVerifier } from './oidc-verifier.ts';
import type { UsedTokens } from './used-tokens.ts';
import type { UserDirectory } from './user-directory.ts';

/** What authentication works with. */
export interface AuthenticationDependencies {
  database: Database;
  clock: Clock;
  audit: Pick<AuditLog, 'refused'>;
  oidc: OidcVerifier;
  users: UserDirectory;
  usedTokens: UsedTokens;
  /** Verifies access tokens. */
  tokenKey: Ed25519PublicKey<'token'>;
  /** Origins that the service is known by. */
  audiences: readonly string[];
}

/** Makes the authentication of the public server. */
export function createAuthentication(
  dependencies: AuthenticationDependencies,
): (call: IncomingCall) => Promise<Caller> {
  return async ({ path, context }) => {
    const right = rights[path];
    if (right === undefined)
      throw new RpcError(Status.PERMISSION_DENIED, `${path} has no row in the rights matrix`);
    const source = sourceOf(context.peer);
    const authorization = context.metadata.get('authorization');
    if (authorization === undefined || isSelfCredentialed(right))
      return admit(dependencies, { kind: 'anonymous', source }, path);
    const [, scheme, token] = /^(Bearer|DPoP) ([\x21-\x7e]{1,16384})$/i.exec(authorization) ?? [];
    if (scheme === undefined || token === undefined) {
      throw unauthenticated(
        'CREDENTIAL_MALFORMED',
        'authorization must be "Bearer TOKEN" or "DPoP TOKEN"',
      );
    }
    const caller =
      scheme.toLowerCase() === 'bearer'
        ? await dependencies.users.login(await dependencies.oidc.verify(token), source)
        : await boundCaller(dependencies, {
            token,
            proof: context.metadata.get('dpop'),
            path,
            source,
          });
    return admit(dependencies, caller, path);
  };
}

/** RPCs that carry their own credential, or need none: what is in the metadata is not looked at. */
function isSelfCredentialed(right: Right): boolean {
  return right.action === 'own' && right.callers.includes('anonymous');
}

async function admit(
  { audit }: AuthenticationDependencies,
  caller: Caller,
  path: string,
): Promise<Caller> {
  if (rights[path]?.callers.some((kind) => kind === caller.kind) === true) return caller;
  if (caller.kind === 'anonymous') throw unauthenticated('CREDENTIAL_MISSING', 'log in first');
  const organizationId = caller.kind === 'device' ? caller.organizationId : undefined;
  await audit.refused(caller, { action: 'call', kind: 'method', id: path, organizationId });
  throw new RpcError(Status.PERMISSION_DENIED, `${path} is not for this kind of credential`, {
    reason: 'CREDENTIAL_KIND',
  });
}

interface BoundCredential {
  token: string;
  proof: string | undefined;
  path: string;
  source: string;
}

async function boundCaller(
  dependencies: AuthenticationDependencies,
  credential: BoundCredential,
): Promise<Caller> {
  const { token, proof, path, source } = credential;
  if (proof === undefined)
    throw unauthenticated('PROOF_MISSING', 'a DPoP token needs a proof in the dpop metadata');
  const now = new Date(dependencies.clock.now());
  const { audience, verified: access } = await forAnyAudience(dependencies.audiences, (candidate) =>
    verifyAccessToken(token, { audience: candidate, publicKey: dependencies.tokenKey, now }),
  );
  const demands = {
    accessToken: token,
    thumbprint: access.thumbprint,
    audience,
    method: path,
    now,
  };
  const verified = await verifyProofOfPossession(proof, demands).catch(refuseToken);
  const isFresh = await dependencies.usedTokens.use(
    `proof ${access.thumbprint} ${verified.tokenId}`,
    verified.forgetAt,
  );
  if (!isFresh) throw unauthenticated('PROOF_REPLAYED', 'this proof was used before');
  return access.kind === 'device'
    ? presentDevice(dependencies, access, source)
    : presentServiceAccount(dependencies, access, source);
}

async function presentDevice(
  { database, clock }: AuthenticationDependencies,
  access: AccessToken,
  source: string,
): Promise<Caller> {
  const row = await database
    .knex('devices')
    .where({ id: access.subject })
    .first('vpc_id', 'organization_id', 'device_public_key', 'expires_at');
  if (row === undefined)
    throw unauthenticated('DEVICE_DELETED', 'this device was deleted: enrol with new keys');
  requireSameKey(access, row.device_public_key);
  if (row.expires_at.getTime() <= clock.now()) {
    throw unauthenticated('DEVICE_EXPIRED', 'the key of this device has expired: renew it');
  }
  return {
    kind: 'device',
    id: access.subject,
    vpcId: row.vpc_id,
    organizationId: row.organization_id,
    source,
  };
}

async function presentServiceAccount(
  { database }: AuthenticationDependencies,
  access: AccessToken,
  source: string,
): Promise<Caller> {
  const row = await database
    .knex('service_accounts')
    .where({ id: access.subject })
    .first('organization_id', 'role', 'public_key', 'disabled');
  if (row === undefined || row.disabled === true) {
    throw unauthenticated('ACCOUNT_DISABLED', 'this service account was disabled or deleted');
  }
  requireSameKey(access, row.public_key);
  const grants = [{ organizationId: row.organization_id, role: row.role }];
  return { kind: 'service_account', id: access.subject, grants, source };
}

function requireSameKey(access: AccessToken, publicKey: Uint8Array): void {
  if (ed25519Thumbprint(parseEd25519PublicKey(publicKey, 'device')) !== access.thumbprint) {
    throw unauthenticated(
      'TOKEN_INVALID',
      'the key of this token was replaced: authenticate again',
    );
  }
}
