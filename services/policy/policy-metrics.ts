import type { Meter } from '@opentelemetry/api';

/** How a Compile was answered. */
export type CompileOutcome = 'known' | 'ahead' | 'compacted';

/** What policy counts. */
export interface PolicyMetrics {
  /** A decision was made. */
  decided(action: string, isAllowed: boolean): void;
  /** An interval was compiled, or not. */
  compiled(outcome: CompileOutcome, pairs: number): void;
  /** The stream of changes went up or down. */
  following(isFollowing: boolean): void;
}

/** Makes the instruments. Actions come from the schema, so there are few of them. */
export function createPolicyMetrics(meter: Meter): PolicyMetrics {
  const decisions = meter.createCounter('nexodus.policy.decisions', {
    description: 'Decisions, by action and result.',
  });
  const compiles = meter.createCounter('nexodus.policy.compiles', {
    description: 'Answered questions about intervals, by outcome.',
  });
  const pairs = meter.createHistogram('nexodus.policy.compiled_pairs', {
    description: 'Pairs that were shown or hidden in one answer.',
  });
  const streams = meter.createUpDownCounter('nexodus.policy.following', {
    description: '1 while the change logs of VPCs are followed.',
  });
  return {
    decided: (action, isAllowed) => decisions.add(1, { action, allowed: isAllowed }),
    compiled: (outcome, count) => {
      compiles.add(1, { outcome });
      if (outcome === 'known') pairs.record(count);
    },
    following: (isFollowing) => streams.add(isFollowing ? 1 : -1),
  };
}
