import { processSettings } from '@nexodus/service-process';
import { z } from 'zod';

/** Settings of policy. */
export const policyConfig = z.object({
  /** How long Compile waits for a revision that has not arrived, in milliseconds, before it answers UNAVAILABLE. */
  compile_wait_ms: z.int().min(0).max(10_000).default(1_000),
  /** Revisions of each VPC for which Compile can answer. Older intervals are answered INTERVAL_COMPACTED. */
  history_revisions: z.int().min(1).max(1_000_000).default(10_000),
  /** Changes of pairs that are kept of each VPC for the same purpose, about 150 bytes each. */
  history_pairs: z.int().min(0).max(10_000_000).default(200_000),
});

/** Settings of policy after validation. */
export type PolicyConfig = z.output<typeof policyConfig>;

/** Settings of a policy process. */
export const policyProcessSettings = processSettings.extend({
  /** Internal server of the apiserver: `host:port`, `[ipv6]:port` or `unix:/path`. */
  apiserver: z.object({ address: z.string().min(1) }),
  policy: policyConfig.prefault({}),
});
