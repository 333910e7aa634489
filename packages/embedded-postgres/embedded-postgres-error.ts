/**
 * Why an embedded PostgreSQL could not be started or stopped:
 *
 * - `DATA_DIRECTORY_IN_USE`: another running instance owns the data directory, or its processes do not end.
 * - `INCOMPATIBLE_VERSION`: the data was written by another major version of PostgreSQL.
 * - `DISK_FULL`: the file system of the data directory has no room.
 * - `NOT_PERMITTED`: this process may not use the data directory, or may not create a mount namespace as root.
 * - `UNSUPPORTED_PLATFORM`: no PostgreSQL binaries, or no util-linux, for this machine.
 * - `START_FAILED`: anything else; the message ends with the server's last log lines.
 */
export type EmbeddedPostgresErrorCode =
  | 'DATA_DIRECTORY_IN_USE'
  | 'INCOMPATIBLE_VERSION'
  | 'DISK_FULL'
  | 'NOT_PERMITTED'
  | 'UNSUPPORTED_PLATFORM'
  | 'START_FAILED';

/** The only error `startEmbeddedPostgres` rejects with. The message names the cause and the remedy in one line. */
export class EmbeddedPostgresError extends Error {
  /** What went wrong, for programs. */
  readonly code: EmbeddedPostgresErrorCode;

  constructor(code: EmbeddedPostgresErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EmbeddedPostgresError';
    this.code = code;
  }
}
