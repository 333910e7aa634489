import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@nexodus/telemetry';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import {
  createCommandRunner,
  createDataplane,
  createNames,
  createSystemPorts,
  type Dataplane,
  findHostResolver,
  type Names,
  type SystemPorts,
} from '../dataplane/index.ts';
import { createIprouteHostView, type HostView } from '../netcheck/index.ts';
import { prepareStateDirectory } from '../state/state-directory.ts';
import { asStateError } from '../state/system-fault.ts';
import { removeTunnelFiles } from './tunnel-files.ts';

/** Where the parts work. */
export interface MachinePartsOptions {
  readonly interfaceName: string;
  readonly stateDirectory: string;
  readonly technology?: 'kernel' | 'wireguard-go';
}

/** The parts of this machine that hold a device's tunnel. */
export interface MachineParts {
  readonly network: SystemPorts['network'];
  readonly names: Names;
  readonly portShare: SystemPorts['portShare'];
  readonly view: HostView;
  createDataplane(privateKey: WireGuardPrivateKey): Dataplane;
  /** Removes whatever any nexd left of this interface; needs no key. Idempotent. */
  remove(): Promise<void>;
}

/**
 * Finds the parts, and makes the folder that they keep files in.
 *
 * @throws {DataplaneError} `no-root`, `command-missing`, or for an unusable name, before anything was made
 * @throws {StateError} for a state directory that cannot be used or is not one
 */
export async function openMachineParts(
  { interfaceName, stateDirectory, technology }: MachinePartsOptions,
  { logger }: { readonly logger: Logger },
): Promise<MachineParts> {
  const runner = createCommandRunner();
  const stateDir = join(stateDirectory, 'tunnel');
  const ports = await createSystemPorts({ interfaceName, stateDir, runner, technology });
  await prepareStateDirectory(stateDirectory);
  await mkdir(stateDir, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw asStateError(error, stateDir);
  });
  const resolver = await findHostResolver({ interfaceName, runner });
  const names = createNames({ resolver, logger });
  const dataplaneOf = (privateKey: WireGuardPrivateKey): Dataplane =>
    createDataplane({ ...ports, privateKey, logger, now: () => new Date() });
  return {
    network: ports.network,
    names,
    portShare: ports.portShare,
    view: createIprouteHostView({ interfaceName, runner }),
    createDataplane: dataplaneOf,
    remove: async () => {
      // The data plane first: it refuses an interface that is not ours, whose names are not ours either.
      await dataplaneOf(WireGuardPrivateKey.generate()).down();
      await ports.portShare.remove();
      await names.down({ alsoEarlier: true });
      await removeTunnelFiles(stateDir, interfaceName);
    },
  };
}
