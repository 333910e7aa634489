import type { Status } from 'nice-grpc-common';
import {
  BadRequest,
  ErrorInfo,
  ResourceInfo,
  RetryInfo,
  RichClientError,
  RichServerError,
} from 'nice-grpc-error-details';
import type { ErrorDetails } from 'nice-grpc-error-details';
import { RpcError, type RpcErrorDetails } from './rpc-error.ts';

/** Domain of google.rpc.ErrorInfo. */
const errorDomain = 'nexodus';

/** The error as it goes on the wire. */
export function toWireError(error: RpcError): RichServerError {
  const { reason, metadata, violations, resource, retryAfterMs } = error.details;
  const extra: ErrorDetails[] = [];
  if (reason !== undefined) {
    extra.push(ErrorInfo.fromPartial({ reason, domain: errorDomain, metadata: { ...metadata } }));
  }
  if (violations !== undefined && violations.length > 0) {
    extra.push(BadRequest.fromPartial({ fieldViolations: [...violations] }));
  }
  if (resource !== undefined) {
    extra.push(
      ResourceInfo.fromPartial({ resourceType: resource.kind, resourceName: resource.name }),
    );
  }
  if (retryAfterMs !== undefined) {
    const seconds = Math.floor(retryAfterMs / 1000);
    const nanos = Math.round((retryAfterMs - seconds * 1000) * 1e6);
    extra.push(RetryInfo.fromPartial({ retryDelay: { seconds, nanos } }));
  }
  return new RichServerError(error.code, error.message, extra);
}

/** The error that arrived, as the other side threw it. */
export function fromWireError(error: {
  code: Status;
  details: string;
  extra?: readonly ErrorDetails[];
}): RpcError {
  const details: RpcErrorDetails = { cause: error };
  for (const detail of error.extra ?? []) Object.assign(details, readDetail(detail));
  return new RpcError(error.code, error.details, details);
}

function readDetail(detail: ErrorDetails): RpcErrorDetails {
  switch (detail.$type) {
    case 'google.rpc.ErrorInfo':
      return { reason: detail.reason, metadata: detail.metadata };
    case 'google.rpc.BadRequest':
      return {
        violations: detail.fieldViolations.map(({ field, description }) => ({
          field,
          description,
        })),
      };
    case 'google.rpc.ResourceInfo':
      return { resource: { kind: detail.resourceType, name: detail.resourceName } };
    case 'google.rpc.RetryInfo': {
      const delay = detail.retryDelay;
      return delay === undefined ? {} : { retryAfterMs: delay.seconds * 1000 + delay.nanos / 1e6 };
    }
    default:
      return {};
  }
}

/** Whether a client error carries google.rpc details. */
export function isRich(error: unknown): error is RichClientError {
  return error instanceof RichClientError;
}
