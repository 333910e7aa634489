import { createHash } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import { type Database, isUniqueViolation } from '@nexodus/database';

/** Partitions of used_tokens. A token is forgotten at most two minutes and a bit ahead, so six never meet. */
const slots = 6;

/** Identifiers that may be used once: proofs, assertions, nonces. Shared by all replicas, whatever the bus does. */
export interface UsedTokens {
  /** Notes the use. False when it was used before: the caller refuses. */
  use(identifier: string, forgetAt: Date): Promise<boolean>;
  /** Forgets what may be forgotten. Called about once a minute. */
  forget(): Promise<void>;
}

/** Identifiers in PostgreSQL, in partitions by the minute in which they may be forgotten. */
export function createUsedTokens(database: Database, clock: Clock): UsedTokens {
  return {
    use: async (identifier, forgetAt) => {
      const minute = Math.floor(forgetAt.getTime() / 60_000);
      try {
        await database.knex('used_tokens').insert({
          slot: minute % slots,
          minute,
          token_hash: createHash('sha256').update(identifier).digest(),
        });
        return true;
      } catch (error) {
        if (isUniqueViolation(error)) return false;
        throw error;
      }
    },
    forget: async () => {
      // The minutes from the last one to four ahead may be in use; the sixth slot is not.
      const stale = (Math.floor(clock.now() / 60_000) + slots - 2) % slots;
      await database.knex.raw('TRUNCATE ??', [`used_tokens_${stale}`]);
    },
  };
}
