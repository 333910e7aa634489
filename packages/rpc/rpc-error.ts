/**
 * The one error type of the RPC edge.
 *
 * A service throws an `RpcError`; it crosses the hop as a gRPC status with google.rpc details and arrives at the caller
 * as an equal `RpcError`. What else a handler throws becomes INTERNAL with a fixed text: nothing of it leaves the
 * process but a trace id.
 */
import { Status } from 'nice-grpc-common';

/** A field that was not acceptable (google.rpc.BadRequest). */
export interface FieldViolation {
  /** Path of the field in the request, such as `ipv4_prefix`. */
  field: string;
  /** What is wrong and what would be right. */
  description: string;
}

/** What an error says besides its code and message. */
export interface RpcErrorDetails {
  /** Machine-readable reason in UPPER_SNAKE_CASE (google.rpc.ErrorInfo.reason). */
  reason?: string;
  /** Facts that go with the reason (google.rpc.ErrorInfo.metadata). Never a secret. */
  metadata?: Readonly<Record<string, string>>;
  /** Fields that were not acceptable. */
  violations?: readonly FieldViolation[];
  /** Resource that the error is about (google.rpc.ResourceInfo). */
  resource?: { kind: string; name: string };
  /** When a retry makes sense, in milliseconds from now (google.rpc.RetryInfo). */
  retryAfterMs?: number;
  /** What went wrong inside; for the log of this process only. */
  cause?: unknown;
}

/** A failed call: code, message that people may read, details. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: Status;
  readonly details: Readonly<Omit<RpcErrorDetails, 'cause'>>;

  /** @param message safe to show: no secret, nothing of another tenant */
  constructor(code: Status, message: string, details: RpcErrorDetails = {}) {
    const { cause, ...rest } = details;
    super(message, { cause });
    this.code = code;
    this.details = rest;
  }
}

/** INVALID_ARGUMENT that names the fields. */
export function invalidArgument(violations: readonly FieldViolation[]): RpcError {
  const message = violations
    .map((violation) => `${violation.field}: ${violation.description}`)
    .join('; ');
  return new RpcError(Status.INVALID_ARGUMENT, message, { violations });
}

/** Longest part of a name that is said back to who asked for it, in characters. */
const longestName = 100;

/**
 * NOT_FOUND; also the answer for what the caller may not know of. "registration-key" and "registration key" give the same
 * error: by another spelling in another place it could be told apart what is hidden and what is absent.
 */
export function notFound(kind: string, name: string): RpcError {
  const words = kind.replaceAll('-', ' ');
  const shown = name.slice(0, longestName);
  return new RpcError(Status.NOT_FOUND, `${words} "${shown}" not found`, {
    resource: { kind: words, name: shown },
  });
}

/** UNAUTHENTICATED with a reason. */
export function unauthenticated(reason: string, message: string): RpcError {
  return new RpcError(Status.UNAUTHENTICATED, message, { reason });
}

/** FAILED_PRECONDITION with a reason. */
export function failedPrecondition(
  reason: string,
  message: string,
  metadata?: Readonly<Record<string, string>>,
): RpcError {
  return new RpcError(Status.FAILED_PRECONDITION, message, { reason, metadata });
}

/** UNAVAILABLE: the caller may try again. */
export function unavailable(
  message: string,
  details: { retryAfterMs?: number; cause?: unknown } = {},
): RpcError {
  return new RpcError(Status.UNAVAILABLE, message, details);
}

/** Whether this is an `RpcError` with the code, and the reason where one is named. */
export function isRpcError(error: unknown, code: Status, reason?: string): error is RpcError {
  return (
    error instanceof RpcError &&
    error.code === code &&
    (reason === undefined || error.details.reason === reason)
  );
}
