import { startCluster } from './cluster.ts';
import type { EmbeddedPostgres, EmbeddedPostgresOptions } from './cluster.ts';

/**
 * Starts a real PostgreSQL 18 on `<dataDir>/postgres`, making the cluster at first, and waits until it accepts
 * connections. It listens on a unix socket only, which only the user of this process and root can reach.
 *
 * One owner per data directory: a kernel lock that ends with this process keeps a second one out. Whoever gets the lock
 * ends what a killed owner left running before it starts a server of its own. A server whose owner dies shuts itself
 * down. What is committed survives `kill -9` of either and of the machine.
 *
 * Works as root too; `ServerView` says how.
 *
 * @throws EmbeddedPostgresError and nothing else.
 */
export function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return startCluster(options, { isDurable: true, settings: {} });
}
