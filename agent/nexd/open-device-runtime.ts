import { platform } from 'node:os';
import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import { createRpcClient } from '@nexodus/rpc';
import { type EnsuredBinding, ensureBinding } from '../enrol/publish-binding.ts';
import { NetworkSelf } from '../netcheck/index.ts';
import { openPortSocket, RelayPaths } from '../relay/index.ts';
import { createAccessTokens } from '../service-access/access-tokens.ts';
import { proxyTo } from '../service-access/proxy-settings.ts';
import type { ServiceConnection } from '../service-access/service-connection.ts';
import type { Enrolment } from '../state/agent-state.ts';
import type { KeptState, StateStore } from '../state/state-store.ts';
import { createDeviceMachine } from './device-machine.ts';
import { DeviceNetwork } from './device-network.ts';
import { createDeviceRuntime, type DeviceRuntime } from './device-runtime.ts';
import type { EnsuredEnrolment } from './ensure-enrolled.ts';
import type { MachineParts } from './machine-parts.ts';
import type { UpEnvironment, UpOptions } from './up-options.ts';

/** A device that joined, and what it works with. */
export interface EnrolledDevice {
  readonly options: Pick<UpOptions, 'interfaceName' | 'listenPort' | 'relayOnly'>;
  readonly environment: UpEnvironment;
  readonly parts: MachineParts;
  readonly store: StateStore;
  readonly kept: KeptState;
  readonly enrolled: EnsuredEnrolment;
  readonly connection: ServiceConnection;
  /** Aborted when the device shall not be shown to anybody any more. */
  readonly signal: AbortSignal;
}

/**
 * Makes the runtime of a device that joined; it is not started. A device that joined just now shows its keys to its
 * peers first.
 */
export async function openDeviceRuntime(device: EnrolledDevice): Promise<DeviceRuntime> {
  const { options, environment, parts, store, kept, connection } = device;
  const { clock, random, logger, say } = environment;
  const subject = device.enrolled.enrolment.deviceId;
  const tokens = createAccessTokens({ subject, key: kept.keys.device, connection, clock });
  const client = createRpcClient(AgentServiceDefinition, connection.channel, {
    authorize: (path) => tokens.authorize(path),
  });
  const dataplane = parts.createDataplane(kept.keys.wireGuard);
  const { enrolment, revision } = await introduce(device, client);
  const portSocket = await openPortSocket();
  const proxy = proxyTo(connection.proxies, connection.url);
  return createDeviceRuntime({
    store,
    kept,
    enrolment,
    readyRevision: revision,
    machine: createDeviceMachine({
      ...options,
      dataplane,
      network: parts.network,
      names: parts.names,
      now: () => new Date(clock.now()),
      logger,
    }),
    client,
    discardToken: () => tokens.discard(),
    openRelays: (onChange) =>
      new RelayPaths({
        deviceId: enrolment.deviceId,
        keys: kept.keys,
        access: connection,
        demand: options.relayOnly,
        client,
        portShare: parts.portShare,
        portSocket,
        clock,
        random,
        logger,
        onChange,
      }),
    openNetwork: (onChange) => {
      const tunnelInterface = options.interfaceName;
      const { view } = parts;
      const frame = { view, portSocket, tunnelInterface, clock, random, logger, onChange };
      return new DeviceNetwork(new NetworkSelf(frame), connection);
    },
    proxy: proxy?.origin,
    clock,
    random,
    logger,
    os: platform(),
    say,
  });
}

/** A device that joined just now shows its keys to its peers at once; what fails is tried again on the stream. */
async function introduce(
  { environment, store, kept, enrolled, signal }: EnrolledDevice,
  client: Parameters<typeof ensureBinding>[0]['client'],
): Promise<EnsuredBinding> {
  const { enrolment, publishedSerial: serial } = enrolled;
  if (enrolment.binding !== undefined) return { enrolment, revision: 0n };
  let current = enrolment;
  const keep = (next: Enrolment): Promise<void> => {
    current = next;
    return store.saveEnrolment(kept.keys, next);
  };
  const publisher = { keys: kept.keys, client, keep, now: () => environment.clock.now(), signal };
  const published = { vpcId: enrolment.vpcId, serial };
  return ensureBinding(publisher, enrolment, published).catch((error: unknown) => {
    environment.logger.warn({ error }, 'the binding was not published');
    return { enrolment: current, revision: 0n };
  });
}
