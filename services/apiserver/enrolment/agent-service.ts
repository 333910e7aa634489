import type {
  AgentServiceImplementation,
  EnrollRequest,
  EnrollResponse,
  IssueRelayGrantsRequest,
  IssueRelayGrantsResponse,
} from '@nexodus/contracts/agent';
import {
  createEnrolmentExchange,
  EnrolmentCookieError,
  type EnrolmentCookie,
  InvalidSigningKeyError,
  openCookie,
  parseDevicePublicKey,
  sealCookie,
  type SealingKey,
  verifyEnrolment,
} from '@nexodus/device-identity';
import {
  type FieldViolation,
  invalidArgument,
  type ServedCall,
  unauthenticated,
} from '@nexodus/rpc';
import {
  discoPublicKeyFromBytes,
  InvalidKeyError,
  wireGuardPublicKeyFromBytes,
} from '@nexodus/wireguard';
import { textViolations } from '../core/text-field.ts';
import type { CallLimit } from '../identity/call-limit.ts';
import type { Caller } from '../identity/caller.ts';
import type { TokenExchange } from '../identity/token-exchange.ts';
import type { UsedTokens } from '../identity/used-tokens.ts';
import { admit, type Entitlement, readEntitlement } from './admission.ts';
import { enrolDevice, type EnrolmentDependencies } from './enrol-device.ts';
import { publishBinding } from './publish-binding.ts';

/** What the handlers work with. */
export interface AgentServiceDependencies extends EnrolmentDependencies {
  cookieKey: SealingKey;
  usedTokens: UsedTokens;
  tokenExchange: TokenExchange;
  /** Origins that the service is known by. */
  audiences: readonly string[];
  /** Limits sources of calls without authentication. */
  anonymousLimit: CallLimit;
  /** Limits how often a device publishes. */
  bindingLimit: CallLimit;
  /** Limits how often a device asks for grants. */
  grantLimit: CallLimit;
  /** Gives grants to a device that calls. */
  issueGrants: (
    device: { id: string; vpcId: string },
    request: IssueRelayGrantsRequest,
  ) => Promise<IssueRelayGrantsResponse>;
  /** Handler of the stream. */
  connect: AgentServiceImplementation<ServedCall<Caller>>['connect'];
}

/** Handlers of nexodus.agent.v1.AgentService. */
export function createAgentService(
  dependencies: AgentServiceDependencies,
): AgentServiceImplementation<ServedCall<Caller>> {
  const { clock, cookieKey, database, anonymousLimit, tokenExchange } = dependencies;
  return {
    beginEnroll: async (_request, { identity }) => {
      anonymousLimit.count(identity.source);
      const exchange = createEnrolmentExchange();
      return {
        nonce: Buffer.from(exchange.nonce),
        serverPublicKey: Buffer.from(exchange.serverKey.publicKey),
        cookie: Buffer.from(sealCookie(exchange, cookieKey, new Date(clock.now()))),
      };
    },
    enroll: async (request, { identity }) => {
      anonymousLimit.count(identity.source);
      return enroll(dependencies, request, identity);
    },
    authenticate: async ({ assertion }, { identity }) => {
      anonymousLimit.count(identity.source);
      const token = await tokenExchange.exchange(assertion, 'device', async (id) => {
        const row = await database
          .knex('devices')
          .where({ id })
          .first('device_public_key', 'expires_at');
        if (row === undefined)
          throw unauthenticated('DEVICE_DELETED', 'this device was deleted: enrol with new keys');
        const isExpired = row.expires_at.getTime() <= clock.now();
        return {
          publicKey: row.device_public_key,
          refusal: isExpired
            ? unauthenticated('DEVICE_EXPIRED', 'the key of this device has expired: renew it')
            : undefined,
        };
      });
      anonymousLimit.giveBack(identity.source);
      return token;
    },
    publishBinding: async ({ binding }, { identity }) => {
      if (identity.kind !== 'device')
        throw unauthenticated('CREDENTIAL_KIND', 'only a device publishes its binding');
      dependencies.bindingLimit.count(identity.id);
      return { revision: await publishBinding(dependencies, identity.id, binding) };
    },
    issueRelayGrants: async (request, { identity }) => {
      if (identity.kind !== 'device')
        throw unauthenticated('CREDENTIAL_KIND', 'only a device gets grants');
      dependencies.grantLimit.count(identity.id);
      return dependencies.issueGrants(identity, request);
    },
    connect: dependencies.connect,
  };
}

async function enroll(
  dependencies: AgentServiceDependencies,
  request: EnrollRequest,
  caller: Caller,
): Promise<EnrollResponse> {
  checkTexts(request);
  const now = new Date(dependencies.clock.now());
  const cookie = readCookie(dependencies, request, now);
  const entitlement = readEntitlement(request.credential, caller);
  verifyProofs(dependencies, { request, cookie, entitlement });
  const nonce = Buffer.from(cookie.nonce).toString('base64url');
  if (!(await dependencies.usedTokens.use(`nonce ${nonce}`, cookie.expiresAt))) {
    throw unauthenticated('NONCE_USED', 'this enrolment was used before: begin again');
  }
  const { database, authorizer } = dependencies;
  const admission = await admit({ database, authorizer, now }, entitlement, request, caller.source);
  return enrolDevice(dependencies, request, admission);
}

/** Longest wishes, in characters: a name of the DNS (RFC 1035 section 2.3.4), and what nothing of ours exceeds. */
const longestTexts = { hostname: 253, os: 253, vpc: 100, organization: 100 } as const;

function checkTexts(request: EnrollRequest): void {
  const fields = ['hostname', 'os', 'vpc', 'organization'] as const;
  const violations: FieldViolation[] = fields.flatMap((field) =>
    textViolations(field, request[field], { max: longestTexts[field] }),
  );
  if (request.credential?.$case === 'registrationKey' && request.organization !== '') {
    const description = 'is not for a registration key, which names its organization itself';
    violations.push({ field: 'organization', description });
  }
  if (violations.length > 0) throw invalidArgument(violations);
}

function readCookie(
  { cookieKey }: AgentServiceDependencies,
  { cookie }: EnrollRequest,
  now: Date,
): EnrolmentCookie & { expiresAt: Date } {
  try {
    return openCookie(cookie, cookieKey, now);
  } catch (error) {
    if (error instanceof EnrolmentCookieError)
      throw unauthenticated('COOKIE_EXPIRED', error.message);
    throw error;
  }
}

/** Checks possession of all three keys before anything is looked up by them: a refusal tells nothing about who has them. */
function verifyProofs(
  { audiences }: AgentServiceDependencies,
  {
    request,
    cookie,
    entitlement,
  }: { request: EnrollRequest; cookie: EnrolmentCookie; entitlement: Entitlement },
): void {
  const keys = readKeys(request);
  const credential =
    entitlement.kind === 'user'
      ? { kind: 'user' as const, userId: entitlement.caller.id }
      : { kind: 'registration-key' as const, hash: entitlement.hash };
  const proof = {
    signature: request.signature,
    wireGuardProof: request.wireguardProof,
    discoProof: request.discoProof,
  };
  const verdicts = audiences.map((audience) =>
    verifyEnrolment({ audience, ...cookie, credential, ...keys, proof }),
  );
  if (verdicts.some((verdict) => verdict.ok)) return;
  throw unauthenticated(
    'PROOF_INVALID',
    `the device could not prove its keys to this service, which is known as ${audiences.join(', ')}: use that URL`,
  );
}

function readKeys(request: EnrollRequest): {
  deviceKey: ReturnType<typeof parseDevicePublicKey>;
  wireGuardKey: ReturnType<typeof wireGuardPublicKeyFromBytes>;
  discoKey: ReturnType<typeof discoPublicKeyFromBytes>;
} {
  const violations: FieldViolation[] = [];
  const read = <T>(field: string, parse: () => T): T | undefined => {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof InvalidKeyError || error instanceof InvalidSigningKeyError))
        throw error;
      violations.push({ field, description: error.message });
      return undefined;
    }
  };
  const deviceKey = read('device_public_key', () => parseDevicePublicKey(request.devicePublicKey));
  const wireGuardKey = read('wireguard_public_key', () =>
    wireGuardPublicKeyFromBytes(request.wireguardPublicKey),
  );
  const discoKey = read('disco_public_key', () => discoPublicKeyFromBytes(request.discoPublicKey));
  if (deviceKey === undefined || wireGuardKey === undefined || discoKey === undefined)
    throw invalidArgument(violations);
  return { deviceKey, wireGuardKey, discoKey };
}
