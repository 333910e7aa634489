export { bootstrapSchema } from './bootstrap-schema.ts';
export type { SchemaBootstrap } from './bootstrap-schema.ts';
export type { DatabaseConnection, DatabaseLogger } from './connection-settings.ts';
export { openDatabase } from './database.ts';
export type { Database, DatabaseOptions } from './database.ts';
export { isForeignKeyViolation, isUnavailable, isUniqueViolation } from './database-errors.ts';
export type { Migration } from './migrations.ts';
export type { Transaction, TransactionOptions } from './transaction.ts';
