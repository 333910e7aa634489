/**
 * The daemon of one device: joins where the device has not, brings the tunnel up, and stays until it is told to end. A
 * tunnel that this run made is taken down again when joining fails.
 */
import { type CheckNetworkResponse, DaemonState } from '@nexodus/contracts/nexd';
import { failedPrecondition, unavailable } from '@nexodus/rpc';
import { formatX25519PublicKey } from '@nexodus/wireguard';
import type { ServiceConnection } from '../service-access/service-connection.ts';
import type { KeptState, StateStore } from '../state/state-store.ts';
import { connectToService } from './connect-to-service.ts';
import { serveControlSocket } from './control-socket.ts';
import { createDaemonLife, type DaemonLife } from './daemon-life.ts';
import { describeStatus } from './daemon-status.ts';
import type { DeviceRuntime } from './device-runtime.ts';
import { ensureEnrolled } from './ensure-enrolled.ts';
import type { MachineParts } from './machine-parts.ts';
import { createNexdService } from './nexd-service.ts';
import { openDeviceRuntime } from './open-device-runtime.ts';
import { notifyServiceManager } from './service-manager.ts';
import type { UpEnvironment, UpOptions } from './up-options.ts';

/** What a daemon is made of. */
export interface DaemonParts {
  readonly options: UpOptions;
  readonly environment: UpEnvironment;
  readonly parts: MachineParts;
  readonly store: StateStore;
}

/**
 * Runs the daemon of a device until the signal or `nexd down`.
 *
 * @throws what kept the device from joining or the tunnel from coming up
 */
export function runDaemon(parts: DaemonParts): Promise<void> {
  return new Daemon(parts).run();
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
      checkNetwork: () => this.#checkNetwork(),
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
    const { options, environment, parts, store } = this.#parts;
    const { signal } = this.#life;
    let connection: ServiceConnection | undefined;
    try {
      this.#hadInterface = (await parts.network.read()) !== null;
      const found = await store.load();
      connection = await connectToService(options, found?.enrolment);
      signal.throwIfAborted();
      const kept = await this.#withKeys(found);
      await this.#work(kept, connection);
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

  async #work(kept: KeptState, connection: ServiceConnection): Promise<void> {
    const { signal } = this.#life;
    const enrolled = await ensureEnrolled({
      ...this.#parts,
      kept,
      connection,
      hadInterface: this.#hadInterface,
      signal,
      onLogin: (isAwaited) => this.#onLogin(isAwaited),
    });
    signal.throwIfAborted();
    const runtime = await openDeviceRuntime({
      ...this.#parts,
      kept,
      enrolled,
      connection,
      signal,
    });
    signal.throwIfAborted();
    this.#runtime = runtime;
    await runtime.start();
    await Promise.race([runtime.ready, this.#ended]);
    if (!signal.aborted) await this.#announce(runtime);
    await this.#ended;
  }

  #onLogin(isAwaited: boolean): void {
    if (isAwaited) this.#state = DaemonState.NEEDS_LOGIN;
    else if (this.#state === DaemonState.NEEDS_LOGIN) this.#state = DaemonState.STARTING;
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

  async #checkNetwork(): Promise<CheckNetworkResponse> {
    if (this.#runtime !== undefined) return this.#runtime.checkNetwork();
    throw failedPrecondition('NOT_JOINED', 'this device has not joined yet');
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
