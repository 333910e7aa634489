export { startEmbeddedPostgres } from './embedded-postgres.ts';
export type {
  EmbeddedPostgres,
  EmbeddedPostgresConnection,
  EmbeddedPostgresOptions,
} from './cluster.ts';
export type { EmbeddedPostgresErrorCode } from './embedded-postgres-error.ts';
export type { EmbeddedPostgresLogger } from './server-log.ts';
