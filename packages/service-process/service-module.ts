import type { Part } from '@nexodus/lifecycle';
import type { BoundService, CallerAllowList, ServiceIdentity } from '@nexodus/rpc';

/**
 * A service, built and not yet started: what every services/<name>/<name>-module.ts makes, and what a process composes.
 * A process of its own and the standalone process serve it alike.
 */
export interface ServiceModule {
  /** Name of the service, such as "ipam"; also its name in certificates. */
  readonly name: string;
  /** What runs: migrations, workers, sockets of its own. Started in this order before the servers listen. */
  readonly parts: readonly Part[];
  /** Services for the internal server. */
  readonly internalServices: readonly BoundService<'internal', ServiceIdentity>[];
  /** Which services may call which of its internal methods, unless the configuration says otherwise. */
  readonly internalCallers: CallerAllowList;
  /** Whether it can do its work: resolves, or rejects with what is missing. For readiness. */
  checkReady(): Promise<void>;
}
