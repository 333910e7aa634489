import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '@nexodus/clock/testing';
import {
  DaemonState,
  type GetStatusResponse,
  NexdServiceDefinition,
  type Peer,
} from '@nexodus/contracts/nexd';
import type { HostProcess, VirtualHost } from '@nexodus/netsim';
import { createRpcClient, openChannel, type RpcClient } from '@nexodus/rpc';
import { labEnvironment, repositoryProgram } from './lab-environment.ts';
import { createNexctl, type Nexctl } from './nexctl.ts';

/** The tunnel interface of every machine of a lab. */
export const TUNNEL = 'nx0';

/** A machine that joins: a host with its daemon. */
export interface LabMachine {
  readonly name: string;
  readonly host: VirtualHost;
  /** `nexctl` on this machine, for its own daemon. */
  readonly nexctl: Nexctl;
  /** Arguments that name this machine's daemon to `nexctl nexd` and `nexd down`. */
  readonly daemonArguments: readonly string[];
  /** Tunnel addresses, known once it is up. */
  readonly ipv4: string;
  readonly ipv6: string;
  readonly deviceId: string;
  readonly vpcId: string;
  /** WireGuard public key, base64. */
  readonly publicKey: string;
  /** When the service had taken it up, on the clock of `performance.now()`. */
  readonly joinedAtMs: number;
  /**
   * Starts the daemon and resolves when its tunnel is up and follows the service.
   *
   * @param joinArguments how to join, `up` first; without them the daemon continues from its state.
   */
  up(joinArguments?: readonly string[]): Promise<void>;
  /** Ends the daemon, and only it, by a signal. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Runs `nexd down` and waits for the daemon's end. */
  down(): Promise<void>;
  /** Whether the daemon's socket is there. */
  hasSocket(): Promise<boolean>;
  status(): Promise<GetStatusResponse>;
  peers(): Promise<readonly Peer[]>;
  /** Resolves when it knows exactly these machines as peers. @throws with what it knows instead */
  knows(others: readonly LabMachine[], timeoutMs?: number): Promise<void>;
}

/** How long a daemon may take from its start to a tunnel that follows the service, on a busy machine. */
const UP_DEADLINE_MS = 40_000;
const LOCAL_CALL_MS = 5_000;

/** What nexd says when the service has enrolled it. */
const JOINED_LINE = /^nexd: joined /;

/** What nexd says when the plan is in force, for people as for systemd. */
const UP_LINE = /^nexd: up: /;

/** A machine on a host; `directory` is for its state. Nothing is started. */
export async function createLabMachine(host: VirtualHost, directory: string): Promise<LabMachine> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return new DaemonMachine(host, directory);
}

class DaemonMachine implements LabMachine {
  readonly host: VirtualHost;
  readonly nexctl: Nexctl;
  readonly #directory: string;
  #daemon: HostProcess | undefined;
  #joined: GetStatusResponse | undefined;
  #joinedAtMs = 0;
  #serviceArguments: readonly string[] = [];

  constructor(host: VirtualHost, directory: string) {
    this.host = host;
    this.#directory = directory;
    this.nexctl = createNexctl(host);
  }

  get name(): string {
    return this.host.name;
  }

  get daemonArguments(): readonly string[] {
    return ['--socket', this.#socketPath];
  }

  get ipv4(): string {
    return this.#known.ipv4Address;
  }

  get ipv6(): string {
    return this.#known.ipv6Address;
  }

  get deviceId(): string {
    return this.#known.deviceId;
  }

  get vpcId(): string {
    return this.#known.vpcId;
  }

  get joinedAtMs(): number {
    return this.#joinedAtMs;
  }

  get publicKey(): string {
    return this.#known.wireguardPublicKey;
  }

  async up(joinArguments: readonly string[] = this.#serviceArguments): Promise<void> {
    this.#serviceArguments = withoutKey(joinArguments);
    const own = ['--hostname', this.name, '--interface', TUNNEL, '--state-dir', this.#stateDir];
    const daemon = await this.host.spawn(
      repositoryProgram('nexd'),
      [...joinArguments, ...own, ...this.daemonArguments],
      { env: labEnvironment() },
    );
    this.#daemon = daemon;
    const isNew = this.#joined === undefined;
    await daemon.waitForLine(isNew ? JOINED_LINE : UP_LINE, { deadlineMs: UP_DEADLINE_MS });
    if (isNew) this.#joinedAtMs = performance.now();
    await daemon.waitForLine(UP_LINE, { deadlineMs: UP_DEADLINE_MS });
    await eventually(() => this.#isFollowing(), { timeoutMs: UP_DEADLINE_MS }).catch(
      (cause: unknown) => {
        const said = daemon.tail().join('\n');
        throw new Error(`${this.name}: nexd does not follow; it said:\n${said}`, { cause });
      },
    );
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#daemon?.stop({ signal });
  }

  async down(): Promise<void> {
    await this.host.run(repositoryProgram('nexd'), ['down', ...this.daemonArguments], {
      env: labEnvironment(),
    });
    await this.#daemon?.exited;
  }

  hasSocket(): Promise<boolean> {
    return access(this.#socketPath).then(
      () => true,
      () => false,
    );
  }

  status(): Promise<GetStatusResponse> {
    return this.#ask((daemon) => daemon.getStatus({}));
  }

  async peers(): Promise<readonly Peer[]> {
    return (await this.#ask((daemon) => daemon.listPeers({}))).peers;
  }

  async knows(others: readonly LabMachine[], timeoutMs = 20_000): Promise<void> {
    const wanted = others.map((machine) => machine.deviceId).toSorted();
    await eventually(
      async () => {
        const peers = await this.peers();
        const held = peers.filter((peer) => peer.refused === '').map((peer) => peer.deviceId);
        if (held.toSorted().join() === wanted.join()) return;
        const seen = peers.map(({ hostname, refused }) => `${hostname} ${refused}`.trim());
        throw new Error(`${this.name} knows [${seen.join(', ')}], not the ${wanted.length} wanted`);
      },
      { timeoutMs },
    );
  }

  get #known(): GetStatusResponse {
    if (this.#joined === undefined) throw new Error(`${this.name} has not joined`);
    return this.#joined;
  }

  get #stateDir(): string {
    return join(this.#directory, 'state');
  }

  /** On the file system that all machines share, so that this process can ask too. */
  get #socketPath(): string {
    return join(this.#directory, 'nexd.sock');
  }

  async #isFollowing(): Promise<boolean> {
    const status = await this.status();
    const isFollowing = status.state === DaemonState.RUNNING && status.connected;
    if (isFollowing) this.#joined = status;
    return isFollowing;
  }

  async #ask<T>(ask: (daemon: RpcClient<NexdServiceDefinition>) => Promise<T>): Promise<T> {
    const channel = openChannel({ address: `unix:${this.#socketPath}` });
    try {
      return await ask(
        createRpcClient(NexdServiceDefinition, channel, { timeoutMs: LOCAL_CALL_MS }),
      );
    } finally {
      channel.close();
    }
  }
}

/** A device that has joined needs no key to come back. */
function withoutKey(args: readonly string[]): readonly string[] {
  const at = args.findIndex((arg) => arg === '--reg-key-file' || arg === '--reg-key');
  return at === -1 ? args : args.toSpliced(at, 2);
}
