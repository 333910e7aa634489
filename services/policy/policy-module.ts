import type { Clock } from '@nexodus/clock';
import { PolicyServiceDefinition } from '@nexodus/contracts/policy';
import { createBinder, type ServiceIdentity } from '@nexodus/rpc';
import type { ServiceModule } from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import type { Meter } from '@opentelemetry/api';
import { createCedarAuthorizer } from './cedar-authorizer.ts';
import { FollowedVpcs } from './followed-vpcs.ts';
import type { PolicyConfig } from './policy-config.ts';
import { readPolicyFiles } from './policy-files.ts';
import { createPolicyMetrics } from './policy-metrics.ts';
import { createPolicyService } from './policy-service.ts';
import { createVpcFollower, type VpcChanges } from './vpc-follower.ts';

/** What policy is made of. */
export interface PolicyModuleOptions {
  readonly config: PolicyConfig;
  /** The apiserver's change logs. It need not be reachable when the module starts. */
  readonly changes: VpcChanges;
  readonly clock: Clock;
  /** Uniform in [0, 1), for the waits between attempts to reach it. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly meter: Meter;
}

/**
 * Builds policy: decisions, and who sees whom. It keeps no state but what it follows; any number of replicas may run.
 *
 * @throws {InvalidPolicyError} when the policies that it comes with do not validate
 */
export function createPolicyModule(options: PolicyModuleOptions): ServiceModule {
  const { config, changes, clock, random, logger } = options;
  const metrics = createPolicyMetrics(options.meter);
  const limits = { maxRevisions: config.history_revisions, maxPairs: config.history_pairs };
  const vpcs = new FollowedVpcs(limits, clock);
  const authorizer = createCedarAuthorizer(readPolicyFiles());
  const follower = createVpcFollower({
    changes,
    vpcs,
    clock,
    random,
    logger,
    onFollowing: (isFollowing) => metrics.following(isFollowing),
  });
  const handlers = createPolicyService({
    authorizer,
    vpcs,
    metrics,
    compileWaitMs: config.compile_wait_ms,
  });
  const bind = createBinder<'internal', ServiceIdentity>('internal');
  return {
    name: 'policy',
    parts: [follower],
    internalServices: [bind(PolicyServiceDefinition, handlers)],
    internalCallers: { [`/${PolicyServiceDefinition.fullName}/*`]: ['apiserver'] },
    checkReady: () => Promise.resolve(),
  };
}
