import { isUnavailable } from '@nexodus/database';
import type { Part } from '@nexodus/lifecycle';
import {
  authenticateInternalCaller,
  type CallerAllowList,
  type CallReport,
  type RpcError,
  type RunningRpcServer,
  type ServerTls,
  startRpcServer,
  Status,
  unavailable,
} from '@nexodus/rpc';
import {
  type Logger,
  type RequestHandler,
  type RunningHealthServer,
  startHealthServer,
} from '@nexodus/telemetry';
import type { ServiceModule } from './service-module.ts';

/** The internal server of a process. */
export interface InternalServerOptions {
  /** `host:port`, `[ipv6]:port` or `unix:/path`. */
  address: string;
  tls: ServerTls;
  /** Overrides of the modules' allow-lists. */
  callers: CallerAllowList;
  logger: Logger;
}

/** The part that serves the internal services of all modules on one address. */
export function internalServerPart(
  modules: readonly ServiceModule[],
  { address, tls, callers, logger }: InternalServerOptions,
): Part {
  let server: RunningRpcServer | undefined;
  const allowed: CallerAllowList = Object.assign(
    {},
    ...modules.map((module) => module.internalCallers),
    callers,
  );
  return {
    name: 'internal server',
    start: async () => {
      server = await startRpcServer({
        surface: 'internal',
        address,
        tls,
        services: modules.flatMap((module) => module.internalServices),
        authenticate: authenticateInternalCaller(allowed),
        onCall: logCalls(logger),
        explainFault,
      });
    },
    stop: async () => server?.stop(),
  };
}

/** A database that does not answer is no fault of the service: callers may try again. */
export function explainFault(error: unknown): RpcError | undefined {
  if (!isUnavailable(error)) return undefined;
  return unavailable('the database does not answer: try again', {
    retryAfterMs: 2_000,
    cause: error,
  });
}

/** Logs faults as errors and the rest for debugging. */
export function logCalls(logger: Logger): (report: CallReport) => void {
  return ({ path, code, durationMs, fault }) => {
    const fields = { path, code: Status[code], duration_ms: Math.round(durationMs * 10) / 10 };
    if (fault === undefined) logger.debug(fields, 'call');
    else logger.error({ ...fields, error: fault }, 'call failed by a fault of this service');
  };
}

/** The part that serves health and metrics of all modules. */
export function healthPart(
  modules: readonly ServiceModule[],
  options: { listen: { host: string; port: number }; handleMetrics: RequestHandler },
): Part {
  let server: RunningHealthServer | undefined;
  return {
    name: 'health and metrics',
    start: async () => {
      server = await startHealthServer({
        ...options.listen,
        handleMetrics: options.handleMetrics,
        checkReady: async () =>
          void (await Promise.all(modules.map((module) => module.checkReady()))),
      });
    },
    stop: async () => server?.stop(),
  };
}
