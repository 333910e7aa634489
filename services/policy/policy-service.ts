import type {
  AuthorizeRequest,
  AuthorizeResponse,
  CompileRequest,
  CompileResponse,
  PolicyServiceImplementation,
} from '@nexodus/contracts/policy';
import {
  failedPrecondition,
  invalidArgument,
  type RpcContext,
  type ServiceIdentity,
  unavailable,
} from '@nexodus/rpc';
import { type AuthorizationDecision, type Authorizer, UnknownRightError } from './authorizer.ts';
import type { DevicePair } from './core/device-pair.ts';
import type { FollowedVpcs } from './followed-vpcs.ts';
import type { PolicyMetrics } from './policy-metrics.ts';

/** What the handlers need. */
export interface PolicyServiceOptions {
  readonly authorizer: Authorizer;
  readonly vpcs: FollowedVpcs;
  readonly metrics: PolicyMetrics;
  /** How long Compile waits for a revision that has not arrived. */
  readonly compileWaitMs: number;
}

/** When a caller should ask again for a revision that has not arrived. */
const retryAfterMs = 250;

/** The handlers of nexodus.policy.v1.PolicyService; policy.proto says what each promises. */
export function createPolicyService(
  options: PolicyServiceOptions,
): PolicyServiceImplementation<{ identity: ServiceIdentity }> {
  return {
    authorize: async (request) => authorize(options, request),
    compile: (request, context) => compile(options, request, context),
  };
}

function authorize(
  { authorizer, metrics }: PolicyServiceOptions,
  { principal, action, resource }: AuthorizeRequest,
): AuthorizeResponse {
  if (principal === undefined || resource === undefined) {
    throw invalidArgument(
      [
        { field: 'principal', value: principal },
        { field: 'resource', value: resource },
      ]
        .filter(({ value }) => value === undefined)
        .map(({ field }) => ({ field, description: 'must be given' })),
    );
  }
  const decision = decide(authorizer, { principal, action, resource });
  metrics.decided(action, decision.isAllowed);
  const { isAllowed, isVisible, policyIds } = decision;
  return { allowed: isAllowed, visible: isVisible, policyIds: [...policyIds] };
}

function decide(
  authorizer: Authorizer,
  question: Parameters<Authorizer['decide']>[0],
): AuthorizationDecision {
  try {
    return authorizer.decide(question);
  } catch (error) {
    if (!(error instanceof UnknownRightError)) throw error;
    throw invalidArgument([{ field: error.field, description: error.message }]);
  }
}

/** Pairs of one piece of an answer: about 800 KB. */
const pairsOfPiece = 10_000;

async function* compile(
  { vpcs, metrics, compileWaitMs }: PolicyServiceOptions,
  { vpcId, logIncarnation, from, to }: CompileRequest,
  { signal }: RpcContext<ServiceIdentity>,
): AsyncGenerator<CompileResponse> {
  if (from > to) throw invalidArgument([{ field: 'from', description: 'must not be above to' }]);
  const question = { vpcId, logIncarnation, from, to };
  const answer = await vpcs.compile(question, { waitMs: compileWaitMs, signal });
  if (answer.state !== 'known') {
    metrics.compiled(answer.state, 0);
    throw answer.state === 'ahead'
      ? unavailable('the revision has not arrived', { retryAfterMs })
      : failedPrecondition('INTERVAL_COMPACTED', 'the interval is not kept; ask with from 0');
  }
  const { shown, hidden } = answer.changes;
  metrics.compiled('known', shown.length + hidden.length);
  for (const piece of piecesOf(shown)) yield { shown: piece.map(toMessage), hidden: [] };
  for (const piece of piecesOf(hidden)) yield { shown: [], hidden: piece.map(toMessage) };
}

function* piecesOf(pairs: readonly DevicePair[]): Generator<readonly DevicePair[]> {
  for (let at = 0; at < pairs.length; at += pairsOfPiece) yield pairs.slice(at, at + pairsOfPiece);
}

function toMessage({ first, second }: DevicePair): CompileResponse['shown'][number] {
  return { firstDeviceId: first, secondDeviceId: second };
}
