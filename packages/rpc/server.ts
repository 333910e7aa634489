import { readDescriptorSet } from '@nexodus/contracts/descriptors';
import { trace } from '@opentelemetry/api';
import {
  type CallContext,
  createServer,
  type Server,
  type ServerMiddleware,
  ServerError,
  Status,
} from 'nice-grpc';
import { errorDetailsServerMiddleware } from 'nice-grpc-error-details';
import { openTelemetryServerMiddleware } from 'nice-grpc-opentelemetry';
import { HealthDefinition, HealthServiceImpl, HealthState } from 'nice-grpc-server-health';
import { ServerReflection, ServerReflectionService } from 'nice-grpc-server-reflection';
import { parseTimeout, timeoutMetadata, underDeadline } from './deadline.ts';
import { currentHangUp, hangUpInterceptor } from './hang-up.ts';
import { peerNameInterceptor } from './peer-name.ts';
import { RpcError } from './rpc-error.ts';
import type { BoundService, ServedCall, Surface } from './surface.ts';
import {
  type ConnectionLimits,
  serverCredentials,
  serverOptions,
  type ServerTls,
} from './transport.ts';
import { toWireError } from './wire-error.ts';

/** A call before its handler runs. */
export interface IncomingCall {
  /** Full method name, such as `/nexodus.api.v1.VpcService/ListVpcs`. */
  path: string;
  /** Metadata, context of the transport, and a signal that is aborted when the client is gone. */
  context: CallContext;
}

/** What a server tells about its calls. */
export interface CallReport {
  path: string;
  code: Status;
  durationMs: number;
  /** What was thrown, where it was not an `RpcError`: a fault of this process. */
  fault?: unknown;
}

/** Options of a server. */
export interface RpcServerOptions<S extends Surface, Identity> {
  surface: S;
  /** `host:port`, `[ipv6]:port` or `unix:/path`. Port 0 lets the system choose. */
  address: string;
  /** Absent only on a unix socket that file permissions guard. */
  tls?: ServerTls;
  services: readonly BoundService<S, Identity>[];
  /** What one connection may take. Default: on the public surface 1,000 calls at once and 5 min without one. */
  connectionLimits?: ConnectionLimits;
  /** Says who calls, or throws UNAUTHENTICATED. Runs before every handler but health and reflection. */
  authenticate: (call: IncomingCall) => Promise<Identity>;
  /** Called after each call. */
  onCall?: (report: CallReport) => void;
  /** Words what is no `RpcError` but no fault of this process either, such as a database that does not answer. */
  explainFault?: (error: unknown) => RpcError | undefined;
}

/** A server that listens. */
export interface RunningRpcServer {
  /** Port that it listens on; 0 for a unix socket. */
  readonly port: number;
  /** State of grpc.health.v1: healthy from the start, unhealthy while stopping. */
  readonly health: HealthState;
  /** Refuses new calls, lets running ones end within the grace, then cuts them. */
  stop(graceMs?: number): Promise<void>;
}

/**
 * Starts a gRPC server with health and reflection.
 *
 * @throws when the address cannot be bound
 */
export async function startRpcServer<S extends Surface, Identity>(
  options: RpcServerOptions<S, Identity>,
): Promise<RunningRpcServer> {
  const { address, tls, services, surface } = options;
  if (tls === undefined && !address.startsWith('unix:')) throw new Error(`${address} needs TLS`);
  for (const service of services) {
    if (service.surface !== surface)
      throw new Error(`${service.fullName} is not bound to the ${surface} surface`);
  }
  // grpc-js reads `interceptors` from the same object as its channel options.
  const interceptors = [hangUpInterceptor, peerNameInterceptor];
  const grpcOptions = { ...serverOptions(surface, options.connectionLimits), interceptors };
  const server = createServer(grpcOptions)
    .use(openTelemetryServerMiddleware())
    .use(errorDetailsServerMiddleware)
    .use(edgeMiddleware(options.onCall ?? (() => {}), options.explainFault ?? (() => undefined)));
  const health = HealthState();
  health.setStatus('healthy');
  server.add(HealthDefinition, HealthServiceImpl(health));
  const names = services.map((service) => service.fullName);
  server.add(ServerReflectionService, ServerReflection(readDescriptorSet(), names));
  const adder: Pick<Server<ServedCall<Identity>>, 'add'> = server.with(
    identityMiddleware(options.authenticate),
  );
  for (const service of services) service.addTo(adder);
  const port = await server.listen(address, serverCredentials(tls));
  return {
    port: address.startsWith('unix:') ? 0 : port,
    health,
    stop: (graceMs = 2_000) => stopServer(server, health, graceMs),
  };
}

async function stopServer(server: Server, health: HealthState, graceMs: number): Promise<void> {
  health.setStatus('unhealthy');
  const force = setTimeout(() => server.forceShutdown(), graceMs);
  await server.shutdown().finally(() => clearTimeout(force));
}

/** Applies the caller's deadline, and turns whatever is thrown into what the wire may carry. */
function edgeMiddleware(
  report: (call: CallReport) => void,
  explain: (error: unknown) => RpcError | undefined,
): ServerMiddleware {
  return async function* edge(call, context) {
    const startedAt = performance.now();
    const path = call.method.path;
    const done = (code: Status, fault?: unknown): void =>
      report({ path, code, durationMs: performance.now() - startedAt, fault });
    const timeoutMs = parseTimeout(context.metadata.get(timeoutMetadata));
    const limited = <T, R>(
      handler: AsyncGenerator<T, R, undefined>,
    ): AsyncGenerator<T, R, undefined> =>
      timeoutMs === undefined ? handler : underDeadline(startedAt + timeoutMs, handler);
    try {
      const result = yield* call.responseStream
        ? limited(call.next(call.request, context))
        : limited(call.next(call.request, context));
      done(Status.OK);
      return result;
    } catch (error) {
      const { wire, fault } = wireErrorOf(explain(error) ?? error, context.signal);
      done(wire.code, fault);
      throw wire;
    }
  };
}

function wireErrorOf(error: unknown, signal: AbortSignal): { wire: ServerError; fault?: unknown } {
  if (error instanceof RpcError) return { wire: toWireError(error) };
  if (error instanceof ServerError) return { wire: error };
  if (signal.aborted) return { wire: new ServerError(Status.CANCELLED, 'the client is gone') };
  const traceId = trace.getActiveSpan()?.spanContext().traceId;
  const metadata = traceId === undefined ? undefined : { trace_id: traceId };
  const internal = new RpcError(Status.INTERNAL, 'internal error', {
    reason: 'INTERNAL',
    metadata,
  });
  return { wire: toWireError(internal), fault: error };
}

function identityMiddleware<Identity>(
  authenticate: (call: IncomingCall) => Promise<Identity>,
): ServerMiddleware<ServedCall<Identity>> {
  return async function* identify(call, context) {
    const hangUpAfter = currentHangUp();
    const identity = await authenticate({ path: call.method.path, context });
    return yield* call.next(call.request, { ...context, identity, hangUpAfter });
  };
}
