/**
 * A device at work: what the control session says is reduced to a plan, the plan is put in force, and what is in force is
 * reported back.
 *
 * All work on the machine happens in one queue of runs, each from the newest facts: a view, a changed endpoint, a network
 * change and the tick of every 5 s are the same thing to it.
 */
import type { Clock, Timer } from '@nexodus/clock';
import type { AgentServiceDefinition } from '@nexodus/contracts/agent';
import {
  type CheckNetworkResponse,
  DaemonState,
  type GetStatusResponse,
  type Peer,
} from '@nexodus/contracts/nexd';
import type { View } from '@nexodus/network-map';
import { failedPrecondition, type RpcClient, type RpcError } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { formatX25519PublicKey } from '@nexodus/wireguard';
import {
  createMemory,
  type DeviceMemory,
  type DeviceModel,
  type Withdrawal,
} from '../core/device-model.ts';
import { type ControlSession, createControlSession } from '../session/control-session.ts';
import type { SessionEffect, SessionEnd, SessionState } from '../session/core/session-state.ts';
import { DIRECT_PATH, type PeerPathView, type RelayPaths } from '../relay/index.ts';
import type { Enrolment } from '../state/agent-state.ts';
import type { KeptState, StateStore } from '../state/state-store.ts';
import { AGENT_VERSION } from './agent-version.ts';
import { createApplyQueue } from './apply-queue.ts';
import { type BindingKeeper, createBindingKeeper } from './binding-keeper.ts';
import { countRelayed, describePeers, describeStatus } from './daemon-status.ts';
import type { DeviceNetwork } from './device-network.ts';
import type { DeviceMachine, MachineReport } from './device-machine.ts';
import { daemonStateOf, describeProblem, removalOf } from './device-standing.ts';
import { createPeerStates, type PeerStates } from './peer-states.ts';
import { relayPeersOf } from './relay-peers.ts';
import { createRunningLease, type RunningLease } from './running-lease.ts';
import { createSessionReporter, type SessionReporter } from './session-reporter.ts';
import { createStateKeeper, type StateKeeper } from './state-keeper.ts';

/** What a device at work needs. */
export interface DeviceRuntimeOptions {
  readonly store: StateStore;
  readonly kept: KeptState;
  readonly enrolment: Enrolment;
  /** Revision that shows this device to its peers, and them to it: before, the device is not ready. 0 for none. */
  readonly readyRevision: bigint;
  readonly machine: DeviceMachine;
  /** Client whose calls carry token and proof. */
  readonly client: RpcClient<AgentServiceDefinition>;
  /** Gets a new token for the next call. */
  readonly discardToken: () => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly os: string;
  /** Makes what relays need; called once, with what asks for another look at the machine. Default: no relays. */
  readonly openRelays?: (onChange: () => void) => RelayPaths;
  /** Makes what knows the machine's place in the network, as `openRelays`. Default: nothing does. */
  readonly openNetwork?: (onChange: () => void) => DeviceNetwork;
  /** Proxy to the service for people; empty for none. */
  readonly proxy?: string;
  /** Tells people how things stand, one line each time that it changes. */
  readonly say: (line: string) => void;
}

/** A device at work. */
export interface DeviceRuntime {
  /** Puts the kept view in force, then follows the service. Throws what kept the first plan from being put in force. */
  start(): Promise<void>;
  /** Resolves when a view of `readyRevision` or later is in force whole, or when there will never be one. */
  readonly ready: Promise<void>;
  status(): Promise<GetStatusResponse>;
  peers(): Promise<Peer[]>;
  /**
   * Looks anew at what the machine's place in the network is.
   *
   * @throws {RpcError} FAILED_PRECONDITION where that cannot be read
   */
  checkNetwork(): Promise<CheckNetworkResponse>;
  /** Ends session and timers and keeps what must be kept; the tunnel stays. Idempotent. */
  stop(): Promise<void>;
}

/** Time between two starts of looking after the machine: with the run itself, drift is repaired within 5 s. */
const TICK_MS = 4_000;

/** Makes the runtime of a device; it touches nothing before `start`. */
export function createDeviceRuntime(options: DeviceRuntimeOptions): DeviceRuntime {
  return new Runtime(options);
}

class Runtime implements DeviceRuntime {
  readonly #options: DeviceRuntimeOptions;
  readonly #session: ControlSession;
  readonly #queue = createApplyQueue(() => this.#run());
  readonly #ready = Promise.withResolvers<void>();
  readonly #watch = new AbortController();
  readonly #binding: BindingKeeper;
  readonly #reporter: SessionReporter;
  readonly #lease: RunningLease;
  readonly #states: PeerStates;
  readonly #relays: RelayPaths | undefined;
  readonly #network: DeviceNetwork | undefined;
  readonly #keeper: StateKeeper;
  #memory: DeviceMemory;
  #view: View | undefined;
  #traceparent = '';
  #model: DeviceModel | undefined;
  #report: MachineReport | undefined;
  #sessionState: SessionState['kind'] = 'idle';
  #failure: RpcError | undefined;
  #end: SessionEnd | undefined;
  #appliedRevision = 0n;
  #isSuperseded = false;
  #saidProblem = '';
  #tick: Timer | undefined;
  #isStopped = false;

  constructor(options: DeviceRuntimeOptions) {
    this.#options = options;
    const { store, kept, clock, enrolment } = options;
    this.#memory = createMemory(kept.pins);
    const { view, lease, endpoints = new Map() } = kept.kept;
    this.#view = view?.vpcId === enrolment.vpcId ? view : undefined;
    this.#states = createPeerStates(endpoints);
    this.#lease = createRunningLease(lease, clock);
    this.#keeper = createStateKeeper({ ...options, keys: kept.keys });
    this.#session = createControlSession({
      client: options.client,
      clock,
      random: options.random,
      logger: options.logger,
      agent: { version: AGENT_VERSION, os: options.os },
      view: this.#view,
      onEffect: (effect) => this.#onEffect(effect),
      onState: (state, failure) => this.#onState(state, failure),
      onUnauthenticated: options.discardToken,
    });
    this.#relays = options.openRelays?.(() => void this.#queue.request());
    this.#network = options.openNetwork?.(() => void this.#queue.request());
    this.#reporter = createSessionReporter(this.#session, clock, {
      hidesEndpoints: this.#relays?.isForced,
    });
    this.#binding = createBindingKeeper({
      enrolment,
      keys: kept.keys,
      client: options.client,
      save: (next) => store.saveEnrolment(kept.keys, next),
      clock,
      logger: options.logger,
    });
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  async start(): Promise<void> {
    const { machine, logger } = this.#options;
    await this.#queue.request();
    const failure = this.#report?.failure;
    if (failure !== undefined && this.#report?.isFatal === true) throw failure;
    this.#session.start();
    this.#network?.look();
    this.#setTick();
    machine
      .watch(() => {
        this.#network?.look();
        void this.#queue.request();
      }, this.#watch.signal)
      .catch((error: unknown) => logger.warn({ error }, 'network changes are not watched'));
  }

  async status(): Promise<GetStatusResponse> {
    const { machine, kept, proxy } = this.#options;
    return describeStatus({
      proxy,
      homeRelayId: this.#relays?.whereabouts.homeRelayId,
      relayed: countRelayed(await this.peers()),
      state: this.#daemonState(),
      problem: this.#problem(),
      interfaceName: machine.interfaceName,
      wireGuardKey: formatX25519PublicKey(kept.keys.wireGuard.publicKey),
      enrolment: this.#binding.enrolment,
      model: this.#model,
      tunnel: await machine.status().catch(() => undefined),
      names: machine.namesStatus(),
      isConnected: this.#sessionState === 'live',
      appliedRevision: this.#appliedRevision,
      leaseUntilMs: this.#lease.untilMs,
    });
  }

  async peers(): Promise<Peer[]> {
    const tunnel = await this.#options.machine.status().catch(() => undefined);
    return describePeers(this.#model, this.#states.all, tunnel?.peers ?? [], this.#pathOf);
  }

  async checkNetwork(): Promise<CheckNetworkResponse> {
    if (this.#network !== undefined) return this.#network.check(this.#relays);
    throw failedPrecondition('NETWORK_UNREADABLE', 'the network is not looked at');
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#tick?.cancel();
    this.#watch.abort();
    this.#session.stop();
    this.#network?.close();
    await this.#relays?.close();
    await this.#queue.stop();
    await this.#binding.stop();
    if (this.#withdrawal() === undefined) await this.#keepView(true);
  }

  #setTick(): void {
    if (this.#isStopped) return;
    this.#tick = this.#options.clock.setTimer(TICK_MS, () => {
      this.#setTick();
      void this.#queue.request();
    });
  }

  #onState(state: SessionState['kind'], failure: RpcError | undefined): void {
    this.#sessionState = state;
    this.#failure = failure;
    if (state === 'live') {
      this.#reporter.begin();
      this.#isSuperseded = false;
      this.#options.say('connected to the service');
      void this.#queue.request();
    }
    if (state === 'waiting') this.#sayProblem();
  }

  #onEffect(effect: Exclude<SessionEffect, { kind: 'open' | 'send' | 'close' }>): void {
    switch (effect.kind) {
      case 'view':
        this.#view = effect.view;
        this.#traceparent = effect.traceparent === '' ? this.#traceparent : effect.traceparent;
        break;
      case 'peer-states':
        this.#states.tell(effect.states);
        break;
      case 'reachability':
        this.#relays?.tellMap(effect.map);
        this.#network?.tellMap(effect.map);
        return;
      case 'server-time':
        this.#lease.renew({ serverTimeMs: effect.serverTimeMs, durationMs: effect.leaseMs });
        return;
      case 'superseded':
        this.#isSuperseded = true;
        return;
      case 'ended':
        this.#end = effect.reason;
        if (effect.reason !== 'stopped') this.#sayProblem();
        break;
    }
    if (!this.#isStopped) void this.#queue.request();
  }

  #withdrawal(): Withdrawal | undefined {
    const removal = removalOf(this.#end);
    if (removal !== undefined) return removal;
    if (this.#sessionState === 'live' || this.#view === undefined) return undefined;
    // A view without a lease was never given one: it came from no stream of ours.
    return this.#lease.remainingMs() > 0 ? undefined : 'lease-ended';
  }

  /** One run of the queue. Never rejects: what goes wrong is reported, and the next run tries again. */
  async #run(): Promise<void> {
    const { machine, kept, logger } = this.#options;
    const { enrolment } = this.#binding;
    this.#lease.advance();
    const view = this.#view;
    const traceparent = this.#traceparent;
    this.#traceparent = '';
    try {
      const report = await machine.putInForce(
        {
          deviceId: enrolment.deviceId,
          vpcId: enrolment.vpcId,
          ownWireGuardKey: formatX25519PublicKey(kept.keys.wireGuard.publicKey),
          enrolledAddresses: [enrolment.ipv4Address, enrolment.ipv6Address],
          entries: view?.entries ?? new Map(),
          states: this.#states.all,
          relayEndpoints: this.#relays?.isForced === true ? this.#relays.endpoints : undefined,
          withdrawal: this.#withdrawal(),
        },
        {
          memory: this.#memory,
          traceparent,
          pathOf: this.#pathOf,
          beforeApply: ({ memory, arePinsChanged }) =>
            this.#keeper.keepPins(memory.pins, arePinsChanged),
        },
      );
      this.#report = report;
      this.#model = report.model;
      this.#memory = report.model.memory;
      if (view !== undefined) this.#appliedRevision = view.revision;
      if (view !== undefined && this.#sessionState === 'live') {
        this.#reporter.acknowledge(view, report.problem);
      }
      if (this.#withdrawal() === undefined) this.#states.forgetInvisible(report.model);
      this.#sayProblem();
      await this.#afterwards(report);
    } catch (error) {
      logger.error({ error }, 'a run failed unexpectedly');
    }
  }

  async #afterwards(report: MachineReport): Promise<void> {
    if (!this.#isStopped) this.#tellRelays(report);
    if (!this.#isStopped) this.#network?.tellMachine(report, this.#relays);
    if (removalOf(this.#end) !== undefined) {
      this.#view = undefined;
      await this.#keeper.dropView();
      this.#ready.resolve();
      return;
    }
    await this.#keepView(false);
    const isCurrent = this.#appliedRevision >= this.#options.readyRevision;
    const isWhole = report.failure === undefined;
    if (isWhole && isCurrent && this.#appliedRevision > 0n) this.#ready.resolve();
    if (this.#end !== undefined) this.#ready.resolve();
    if (this.#isStopped) return;
    const endpoints = this.#network?.endpointsOf(report) ?? report.endpoints;
    this.#reporter.report({ ...report, endpoints });
    if (this.#relays !== undefined) this.#reporter.reportRelays(this.#relays.whereabouts);
    this.#publishBinding();
  }

  readonly #pathOf = (deviceId: string, endpoint: string): PeerPathView =>
    this.#relays?.pathOf(deviceId, endpoint) ?? DIRECT_PATH;

  #tellRelays({ endpoints, model, tunnel }: MachineReport): void {
    this.#relays?.tellMachine({
      peers: relayPeersOf(model, this.#states.all, tunnel?.peers ?? []),
      tunnelPort: tunnel?.listenPort ?? 0,
      addresses: endpoints.map(({ address }) => address),
    });
  }

  async #keepView(isForced: boolean): Promise<void> {
    const view = this.#view;
    if (view === undefined) return;
    const lease = this.#lease.record();
    await this.#keeper.keepView({ view, lease, endpoints: this.#states.endpoints() }, isForced);
  }

  #publishBinding(): void {
    const self = this.#model?.self;
    if (self === undefined || this.#sessionState !== 'live') return;
    this.#binding.ensure({ vpcId: self.vpcId, serial: self.bindingSerial });
  }

  #daemonState(): DaemonState {
    if (this.#isStopped) return DaemonState.STOPPING;
    const hasView = this.#view !== undefined;
    return daemonStateOf(this.#end, { hasView, sessionState: this.#sessionState });
  }

  /** One line: what is wrong and what to do, or empty. */
  #problem(): string {
    return describeProblem({
      end: this.#end,
      failure: this.#sessionState === 'live' ? undefined : this.#failure,
      machineProblem: this.#report?.problem ?? '',
      arePinsUnsaved: this.#keeper.arePinsUnsaved,
      isSuperseded: this.#isSuperseded,
    });
  }

  #sayProblem(): void {
    const problem = this.#problem();
    if (problem === this.#saidProblem) return;
    this.#saidProblem = problem;
    if (problem !== '') this.#options.say(problem);
  }
}
