import { KnexTimeoutError } from './knex-module.ts';

/** SQLSTATE codes, appendix A of PostgreSQL's manual. */
const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';
const EXCLUSION_VIOLATION = '23P01';
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';

/**
 * Connection exceptions (class 08, without protocol violations, which a client's input can cause), too many
 * connections, a lock not had in time, a statement that ran too long, shutdown and start of the server, a primary that
 * became a standby.
 */
const UNAVAILABLE_STATES = /^(?:08(?!P01)...|53300|55P03|57014|57P0[1-5]|25006)$/;

/** What the operating system says when there is no server, or no way to it. */
const UNAVAILABLE_SYSTEM_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
]);

/** `pg` gives a connection that is gone no code, only these words; knex puts the statement before them. */
const CONNECTION_ENDED =
  /(?:^| - )(?:Connection terminated(?: unexpectedly| due to connection timeout)?|timeout expired|Client (?:has encountered a connection error|was closed) and is not queryable)$/;

/** The value was there already. With `constraint`, only that constraint counts. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return isViolation(error, UNIQUE_VIOLATION, constraint);
}

/** A row that is referred to is missing, or still referred to. With `constraint`, only that constraint counts. */
export function isForeignKeyViolation(error: unknown, constraint?: string): boolean {
  return isViolation(error, FOREIGN_KEY_VIOLATION, constraint);
}

/** An `EXCLUDE` constraint found an overlap. With `constraint`, only that constraint counts. */
export function isExclusionViolation(error: unknown, constraint?: string): boolean {
  return isViolation(error, EXCLUSION_VIOLATION, constraint);
}

/** The transaction lost against another and may be run again as it is. */
export function isSerializationConflict(error: unknown): boolean {
  const state = textProperty(error, 'code');
  return state === SERIALIZATION_FAILURE || state === DEADLOCK_DETECTED;
}

/**
 * The database cannot be reached or takes no work; the same call may succeed later. A transaction that failed so while
 * committing may have been committed.
 */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof KnexTimeoutError) return true;
  const code = textProperty(error, 'code');
  if (code !== undefined)
    return UNAVAILABLE_STATES.test(code) || UNAVAILABLE_SYSTEM_CODES.has(code);
  return error instanceof Error && CONNECTION_ENDED.test(error.message);
}

function isViolation(error: unknown, state: string, constraint: string | undefined): boolean {
  if (textProperty(error, 'code') !== state) return false;
  return constraint === undefined || textProperty(error, 'constraint') === constraint;
}

function textProperty(error: unknown, name: 'code' | 'constraint'): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' ? value : undefined;
}
