/**
 * `nexd up`: joins where the device has not, brings the tunnel up, and stays until it is told to end.
 *
 * The order makes failures harmless: the machine is tried with an empty tunnel before anything is asked of the service,
 * so that a single-use registration key is not spent on a machine that cannot hold a tunnel; and a tunnel that this run
 * made is taken down again when joining fails.
 */
import { platform } from 'node:os';
import type { Clock } from '@nexodus/clock';
import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import type { GetServiceInfoResponse } from '@nexodus/contracts/api';
import { DaemonState } from '@nexodus/contracts/nexd';
import type { RegistrationKey } from '@nexodus/device-identity';
import { createRpcClient, isRpcError, Status, unavailable } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { formatX25519PublicKey } from '@nexodus/wireguard';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { planDevice } from '../dataplane/index.ts';
import { type EnsuredBinding, ensureBinding } from '../enrol/publish-binding.ts';
import { createAccessTokens } from '../service-access/access-tokens.ts';
import {
  checkService,
  openServiceConnection,
  type ServiceConnection,
} from '../service-access/service-connection.ts';
import { resolveTrust, type TrustWish } from '../service-access/service-trust.ts';
import { parseServiceUrl } from '../service-access/service-url.ts';
import type { Enrolment } from '../state/agent-state.ts';
import { type KeptState, openStateStore, type StateStore } from '../state/state-store.ts';
import { serveControlSocket } from './control-socket.ts';
import { createDaemonLife, type DaemonLife } from './daemon-life.ts';
import { describeStatus } from './daemon-status.ts';
import { createDeviceMachine } from './device-machine.ts';
import { createDeviceRuntime, type DeviceRuntime } from './device-runtime.ts';
import { joinService } from './join-service.ts';
import { openMachineParts, type MachineParts } from './machine-parts.ts';
import { createNexdService } from './nexd-service.ts';
import { notifyServiceManager } from './service-manager.ts';
import { withdrawDevice } from './withdraw-device.ts';

/** What `nexd up` is told. */
export interface UpOptions {
  /** Absent: the service that the device is enrolled with. */
  readonly serviceUrl?: string;
  readonly trust: Pick<TrustWish, 'caFile' | 'caSha256'>;
  /** Absent: a person logs in. */
  readonly registrationKey?: RegistrationKey;
  readonly hostname?: string;
  readonly organization?: string;
  readonly vpc?: string;
  readonly issuer?: string;
  readonly interfaceName: string;
  readonly stateDirectory: string;
  /** UDP port; 0: any. */
  readonly listenPort: number;
  readonly socketPath: string;
  /** Default: what the machine has. */
  readonly technology?: 'kernel' | 'wireguard-go';
}

/** What `nexd up` lives in. */
export interface UpEnvironment {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Prints one line for people. */
  readonly say: (line: string) => void;
  /** Aborted when the process shall end: the tunnel stays. */
  readonly signal: AbortSignal;
}

/** Runs until the signal or `nexd down`. @throws what kept the device from joining or the tunnel from coming up */
export async function runUp(options: UpOptions, environment: UpEnvironment): Promise<void> {
  const parts = await openMachineParts(options, environment);
  const store = await openStateStore(options.stateDirectory);
  try {
    const daemon = new Daemon({ options, environment, parts, store });
    await daemon.run();
  } finally {
    store.close();
  }
}

interface DaemonParts {
  readonly options: UpOptions;
  readonly environment: UpEnvironment;
  readonly parts: MachineParts;
  readonly store: StateStore;
}

class Daemon {
  readonly #parts: DaemonParts;
  readonly #life: DaemonLife;
  /** Resolves when the daemon is told to end. */
  readonly #ended: Promise<unknown>;
  #state: DaemonState = DaemonState.STARTING;
  #runtime: DeviceRuntime | undefined;
  #wireGuardKey = '';
  /** Whether the interface was there before this run. */
  #hadInterface = true;
  #hasTunnel = true;
  /** Serial of the binding that the service holds of a device that joined just now. */
  #publishedSerial = 0n;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    this.#life = createDaemonLife(parts.environment.signal);
    const { signal } = this.#life;
    this.#ended = new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true });
      if (signal.aborted) resolve(undefined);
    });
  }

  async run(): Promise<void> {
    const { options, environment } = this.#parts;
    const service = createNexdService({
      status: () => this.#status(),
      peers: () => this.#runtime?.peers() ?? Promise.resolve([]),
      down: (forget) => this.#down(forget),
    });
    const server = await serveControlSocket(options.socketPath, service);
    try {
      await this.#life.run(() => this.#joinAndStay());
    } finally {
      await this.#parts.parts.names.down().catch(() => {});
      await server.stop();
    }
    const remedy = `\`nexd down --interface ${options.interfaceName}\` removes it`;
    if (this.#state === DaemonState.STOPPING)
      environment.say('down: nothing of the tunnel is left');
    else if (this.#hasTunnel) environment.say(`ended; the tunnel stays up: ${remedy}`);
    else environment.say('ended before the tunnel was up: nothing of it is left');
  }

  /** Everything between start and end; whatever of it is interrupted by the end throws. */
  async #joinAndStay(): Promise<void> {
    const { environment, parts, store } = this.#parts;
    const { signal } = this.#life;
    let connection: ServiceConnection | undefined;
    try {
      this.#hadInterface = (await parts.network.read()) !== null;
      const found = await store.load();
      connection = await this.#connect(found?.enrolment);
      signal.throwIfAborted();
      const kept = await this.#withKeys(found);
      const enrolment = await this.#enrolled(kept, connection);
      signal.throwIfAborted();
      await this.#work({ kept, enrolment, connection });
    } catch (error) {
      await this.#runtime?.stop();
      // A tunnel that was there before this run is somebody's working connection, or not ours at all.
      if (!this.#hadInterface) await parts.remove().catch(() => {});
      this.#hasTunnel = this.#hadInterface;
      // It was told to end, perhaps while a person was asked to log in: what that interrupts is no failure.
      if (signal.aborted) environment.logger.warn({ error }, 'interrupted by the end');
      throw error;
    } finally {
      await this.#runtime?.stop();
      connection?.close();
    }
  }

  /** What was kept; a machine that never joined makes its keys here, once it is known what it shall join. */
  async #withKeys(found: KeptState | undefined): Promise<KeptState> {
    const { store, environment } = this.#parts;
    const kept = found ?? {
      keys: await store.createKeys(),
      enrolment: undefined,
      pins: new Map(),
      kept: {},
      notices: [],
    };
    for (const notice of kept.notices) environment.say(notice);
    this.#wireGuardKey = formatX25519PublicKey(kept.keys.wireGuard.publicKey);
    return kept;
  }

  async #connect(enrolment: Enrolment | undefined): Promise<ServiceConnection> {
    const { options } = this.#parts;
    const text = options.serviceUrl ?? enrolment?.serviceUrl;
    if (text === undefined) {
      throw new CommandError(
        ExitCode.usage,
        'This device has not joined any service yet',
        'Name one with --service-url',
      );
    }
    const url = parseServiceUrl(text);
    if (enrolment !== undefined && enrolment.serviceUrl !== url.origin) {
      throw new CommandError(
        ExitCode.conflict,
        `This device has joined ${enrolment.serviceUrl}, not ${url.origin}`,
        'Leave that one with `nexd down --forget`, or name another --interface and --state-dir',
      );
    }
    const trust = { ...options.trust, storedCa: enrolment?.caPem };
    return openServiceConnection(url, await resolveTrust(url, trust));
  }

  /** The enrolment: the kept one while it holds, else a new one of the same keys. */
  async #enrolled(kept: KeptState, connection: ServiceConnection): Promise<Enrolment> {
    const { environment, store } = this.#parts;
    const before = kept.enrolment;
    if (before !== undefined && !(await this.#isExpired(kept, before, connection))) {
      if (before.caPem === connection.caPem) return before;
      const changed = { ...before, caPem: connection.caPem };
      await store.saveEnrolment(kept.keys, changed);
      return changed;
    }
    const info = await checkService(connection, () => environment.clock.now());
    this.#life.signal.throwIfAborted();
    await this.#tryMachine(kept);
    this.#life.signal.throwIfAborted();
    const joined = await this.#join(kept, connection, info);
    const enrolment = { ...joined, binding: before?.binding };
    await store.saveEnrolment(kept.keys, enrolment);
    environment.say(
      `joined ${enrolment.serviceUrl} as ${enrolment.hostname} in VPC ${enrolment.vpcName}: ` +
        `${enrolment.ipv4Address}, ${enrolment.ipv6Address}`,
    );
    return enrolment;
  }

  /**
   * Whether the device must join again to go on. The service is asked only where there is reason to: a device restarts
   * without it, and a registration key that stays in a unit file is not used twice.
   */
  async #isExpired(
    kept: KeptState,
    { deviceId, expireAtMs }: Enrolment,
    connection: ServiceConnection,
  ): Promise<boolean> {
    const { options, environment } = this.#parts;
    const { clock } = environment;
    if (options.registrationKey === undefined && clock.now() < expireAtMs) return false;
    const key = kept.keys.device;
    const tokens = createAccessTokens({ subject: deviceId, key, connection, clock });
    try {
      await tokens.authorize('');
      return false;
    } catch (error) {
      const isExpired = isRpcError(error, Status.UNAUTHENTICATED, 'DEVICE_EXPIRED');
      const isDeleted = isRpcError(error, Status.UNAUTHENTICATED, 'DEVICE_DELETED');
      if (isExpired || isDeleted) await this.#withdraw(kept);
      if (isExpired) return true;
      if (isDeleted) throw error;
      environment.logger.warn({ error }, 'the service could not be asked');
      return false;
    }
  }

  /** Whatever comes of joining again: as long as the service refuses the device, it has no peers. */
  async #withdraw({ keys }: KeptState): Promise<void> {
    const { environment, options, parts, store } = this.#parts;
    const dataplane = parts.createDataplane(keys.wireGuard);
    const hasTunnel = this.#hadInterface;
    const { listenPort } = options;
    await withdrawDevice({ keys, store, dataplane, hasTunnel, listenPort }).catch(
      (error: unknown) => environment.logger.error({ error }, 'the peers were not all withdrawn'),
    );
  }

  async #join(
    kept: KeptState,
    connection: ServiceConnection,
    info: GetServiceInfoResponse,
  ): Promise<Enrolment> {
    const { options, environment } = this.#parts;
    const { registrationKey, hostname, vpc, organization, issuer } = options;
    if (registrationKey === undefined) this.#state = DaemonState.NEEDS_LOGIN;
    try {
      const joined = await joinService({
        connection,
        info,
        keys: kept.keys,
        registrationKey,
        hostname,
        vpc,
        organization,
        issuer,
        signal: this.#life.signal,
        prompt: ({ verificationUrl, userCode, completeUrl }) => {
          environment.say(`to join, open ${verificationUrl} and enter the code ${userCode}`);
          if (completeUrl !== undefined) environment.say(`or open ${completeUrl}`);
        },
      });
      this.#publishedSerial = joined.bindingSerial;
      return joined.enrolment;
    } finally {
      if (this.#state === DaemonState.NEEDS_LOGIN) this.#state = DaemonState.STARTING;
    }
  }

  /** Brings up the tunnel without anything in it: what is wrong with the machine shows before a key is spent. */
  async #tryMachine(kept: KeptState): Promise<void> {
    const { options, parts } = this.#parts;
    // Of a device that joined before, the interface may carry live traffic: it is left as it is.
    if (this.#hadInterface && kept.enrolment !== undefined) return;
    const dataplane = parts.createDataplane(kept.keys.wireGuard);
    const { listenPort } = options;
    await dataplane.apply(planDevice({ addresses: [], peers: [], listenPort }));
  }

  async #work(device: {
    kept: KeptState;
    enrolment: Enrolment;
    connection: ServiceConnection;
  }): Promise<void> {
    const { environment, options, parts, store } = this.#parts;
    const { kept, connection } = device;
    const { clock, logger } = environment;
    const { deviceId } = device.enrolment;
    const tokens = createAccessTokens({
      subject: deviceId,
      key: kept.keys.device,
      connection,
      clock,
    });
    const client = createRpcClient(AgentServiceDefinition, connection.channel, {
      authorize: (path) => tokens.authorize(path),
    });
    const dataplane = parts.createDataplane(kept.keys.wireGuard);
    const { enrolment, revision } = await this.#introduced(device, client);
    const runtime = createDeviceRuntime({
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
      clock,
      random: environment.random,
      logger,
      os: platform(),
      say: environment.say,
    });
    this.#life.signal.throwIfAborted();
    this.#runtime = runtime;
    await runtime.start();
    await Promise.race([runtime.ready, this.#ended]);
    if (!this.#life.signal.aborted) await this.#announce(runtime);
    await this.#ended;
  }

  /** A device that joined just now shows its keys to its peers at once; what fails is tried again on the stream. */
  async #introduced(
    { kept, enrolment }: { kept: KeptState; enrolment: Enrolment },
    client: Parameters<typeof ensureBinding>[0]['client'],
  ): Promise<EnsuredBinding> {
    if (enrolment.binding !== undefined) return { enrolment, revision: 0n };
    const { environment, store } = this.#parts;
    let current = enrolment;
    const keep = (next: Enrolment): Promise<void> => {
      current = next;
      return store.saveEnrolment(kept.keys, next);
    };
    const publisher = { keys: kept.keys, client, keep, now: () => environment.clock.now() };
    return ensureBinding(publisher, enrolment, {
      vpcId: enrolment.vpcId,
      serial: this.#publishedSerial,
    }).catch((error: unknown) => {
      environment.logger.warn({ error }, 'the binding was not published');
      return { enrolment: current, revision: 0n };
    });
  }

  async #announce(runtime: DeviceRuntime): Promise<void> {
    const { environment } = this.#parts;
    const status = await runtime.status();
    const peers = `${status.peerCount} ${status.peerCount === 1 ? 'peer' : 'peers'}`;
    const tunnel = `${status.interfaceName} (${status.tunnelKind}, UDP port ${status.listenPort})`;
    const line = `up: ${status.hostname} at ${status.ipv4Address}, ${status.ipv6Address} on ${tunnel}, ${peers}`;
    environment.say(line);
    await notifyServiceManager(['READY=1', `STATUS=${line}`]);
  }

  async #status() {
    if (this.#runtime !== undefined) return this.#runtime.status();
    return describeStatus({
      state: this.#state,
      problem: '',
      interfaceName: this.#parts.options.interfaceName,
      wireGuardKey: this.#wireGuardKey,
      isConnected: false,
      appliedRevision: 0n,
      leaseUntilMs: 0,
    });
  }

  async #down(forget: boolean): Promise<void> {
    const { parts, store } = this.#parts;
    if (this.#life.isGoingDown) throw unavailable('nexd is going down already');
    this.#state = DaemonState.STOPPING;
    await this.#life.goDown(async () => {
      await parts.remove();
      if (forget) await store.forget();
    });
  }
}
