import type { Channel } from '@grpc/grpc-js';
import {
  type Client,
  ClientError,
  type ClientMiddleware,
  type TsProtoServiceDefinition,
  createClientFactory,
  Metadata,
} from 'nice-grpc';
import { deadlineMiddleware, type DeadlineOptions } from 'nice-grpc-client-middleware-deadline';
import { retryMiddleware, type RetryOptions } from 'nice-grpc-client-middleware-retry';
import { errorDetailsClientMiddleware } from 'nice-grpc-error-details';
import { openTelemetryClientMiddleware } from 'nice-grpc-opentelemetry';
import { remainingTimeout, timeoutMetadata } from './deadline.ts';
import { fromWireError, isRich } from './wire-error.ts';

/** Options of one call besides its request. */
export interface CallTiming {
  /** Gives up with DEADLINE_EXCEEDED after this long. Default: that of the client. Streams have none unless given. */
  timeoutMs?: number;
}

/** Options that every call of a client takes. */
export type RpcCallOptions = CallTiming & RetryOptions;

/** Options of a client. */
export interface RpcClientOptions {
  /** Default time for a unary call. Default 10,000. */
  timeoutMs?: number;
  /** Metadata for each call, such as credentials and proofs; called anew for each attempt. */
  authorize?: (path: string) => Promise<Readonly<Record<string, string>>>;
}

/** A client whose calls throw `RpcError`, have a deadline, and pass the trace on. */
export type RpcClient<D extends TsProtoServiceDefinition> = Client<D, RpcCallOptions>;

/** Makes a client of a service on a channel. */
export function createRpcClient<D extends TsProtoServiceDefinition>(
  definition: D,
  channel: Channel,
  { timeoutMs = 10_000, authorize }: RpcClientOptions = {},
): RpcClient<D> {
  const factory = createClientFactory()
    .use(deadlineMiddleware)
    .use(openTelemetryClientMiddleware())
    .use(errorDetailsClientMiddleware)
    .use(authorizing(authorize))
    .use(retryMiddleware)
    .use(timing(timeoutMs))
    .use(rpcErrors);
  return factory.create(definition, channel);
}

/** Throws `RpcError` for what the server or the transport said. Aborts stay AbortError. */
const rpcErrors: ClientMiddleware = async function* rpcErrors(call, options) {
  try {
    return yield* call.next(call.request, options);
  } catch (error) {
    if (isRich(error) || error instanceof ClientError) throw fromWireError(error);
    throw error;
  }
};

function timing(defaultMs: number): ClientMiddleware<CallTiming, DeadlineOptions> {
  return async function* timed(call, { timeoutMs, ...options }) {
    const isStream = call.requestStream || call.responseStream;
    const wanted = timeoutMs ?? (isStream ? undefined : defaultMs);
    if (wanted === undefined) return yield* call.next(call.request, options);
    const remaining = remainingTimeout(wanted);
    const metadata = Metadata(options.metadata).set(timeoutMetadata, String(Math.ceil(remaining)));
    return yield* call.next(call.request, { ...options, metadata, deadline: remaining });
  };
}

function authorizing(authorize: RpcClientOptions['authorize']): ClientMiddleware {
  return async function* authorized(call, options) {
    if (authorize === undefined) return yield* call.next(call.request, options);
    const metadata = Metadata(options.metadata);
    for (const [name, value] of Object.entries(await authorize(call.method.path)))
      metadata.set(name, value);
    return yield* call.next(call.request, { ...options, metadata });
  };
}
