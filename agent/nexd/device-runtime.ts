/**
 * A device at work: what the control session says is reduced to a plan, the plan is put in force, and what is in force is
 * reported back.
 *
 * All work on the machine happens in one queue of runs, each from the newest facts: a view, a changed endpoint, a network
 * change and the tick of every 5 s are the same thing to it.
 */
import type { Clock, Timer } from '@nexodus/clock';
import type { AgentServiceDefinition } from '@nexodus/contracts/agent';
import { DaemonState, type GetStatusResponse, type Peer } from '@nexodus/contracts/nexd';
import type { View } from '@nexodus/network-map';
import { type RpcClient, type RpcError, Status } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { formatX25519PublicKey } from '@nexodus/wireguard';
import { explainRpcError } from '../command/explain-rpc-error.ts';
import {
  createMemory,
  type DeviceMemory,
  type DeviceModel,
  type PeerSoftState,
  type Withdrawal,
} from '../core/device-model.ts';
import {
  advanceLease,
  type ClockReading,
  type Lease,
  leaseRecord,
  leaseRemainingMs,
  renewLease,
  restoreLease,
} from '../core/lease.ts';
import { type ControlSession, createControlSession } from '../session/control-session.ts';
import type { SessionEffect, SessionEnd, SessionState } from '../session/core/session-state.ts';
import type { Enrolment } from '../state/agent-state.ts';
import type { KeptState, StateStore } from '../state/state-store.ts';
import { AGENT_VERSION } from './agent-version.ts';
import { createApplyQueue } from './apply-queue.ts';
import { type BindingKeeper, createBindingKeeper } from './binding-keeper.ts';
import { describePeers, describeStatus } from './daemon-status.ts';
import type { DeviceMachine, MachineReport } from './device-machine.ts';
import { createSessionReporter, type SessionReporter } from './session-reporter.ts';

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
  /** Ends session and timers and keeps what must be kept; the tunnel stays. Idempotent. */
  stop(): Promise<void>;
}

/** Time between two starts of looking after the machine: with the run itself, drift is repaired within 5 s. */
const TICK_MS = 4_000;

/** The view on disk may be this much older than the one in force, as long as its entries are the same. */
const KEEP_INTERVAL_MS = 60_000;

const endings: Readonly<Record<Exclude<SessionEnd, 'stopped'>, string>> = {
  superseded:
    'another nexd uses the keys of this device: stop one of the two, and give each machine keys of its own with `nexd down --forget`',
  'device-deleted':
    'this device was deleted: run `nexd down --forget`, then `nexd up` to join with new keys',
  'device-expired':
    'the key of this device expired: restart `nexd up` with a registration key or a login to renew it',
};

const SUPERSEDED =
  'another session with the keys of this device took over: this one comes back within a minute';

const PINS_UNSAVED =
  'the keys of new peers could not be kept on disk: after a restart other keys would pass for theirs. See the log';

/** The transport's own words differ from attempt to attempt and are for the log. */
function describeOutage(failure: RpcError): string {
  if (failure.code === Status.UNAVAILABLE || failure.code === Status.DEADLINE_EXCEEDED) {
    return 'the service is out of reach: established tunnels stay up, changes arrive when it is back';
  }
  const { message, remedy } = explainRpcError(failure);
  return `the service refuses this device (${message}). ${remedy}`;
}

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
  #memory: DeviceMemory;
  #arePinsUnsaved = false;
  #view: View | undefined;
  #traceparent = '';
  #lease: Lease | undefined;
  #states = new Map<string, PeerSoftState>();
  #model: DeviceModel | undefined;
  #report: MachineReport | undefined;
  #sessionState: SessionState['kind'] = 'idle';
  #failure: RpcError | undefined;
  #end: SessionEnd | undefined;
  #acknowledged = '';
  #appliedRevision = 0n;
  #savedDigest = '';
  #savedAtMs = -Infinity;
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
    for (const [deviceId, known] of endpoints) {
      this.#states.set(deviceId, { isOnline: false, endpoints: known });
    }
    this.#lease = lease === undefined ? undefined : restoreLease(lease, this.#reading());
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
    this.#reporter = createSessionReporter(this.#session, clock);
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
    this.#setTick();
    machine
      .watch(() => void this.#queue.request(), this.#watch.signal)
      .catch((error: unknown) => logger.warn({ error }, 'network changes are not watched'));
  }

  async status(): Promise<GetStatusResponse> {
    const { machine, kept, clock } = this.#options;
    const remaining =
      this.#lease === undefined ? 0 : leaseRemainingMs(this.#lease, this.#reading());
    return describeStatus({
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
      leaseUntilMs: this.#lease === undefined ? 0 : clock.now() + remaining,
    });
  }

  async peers(): Promise<Peer[]> {
    const tunnel = await this.#options.machine.status().catch(() => undefined);
    return describePeers(this.#model, this.#states, tunnel?.peers ?? []);
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#tick?.cancel();
    this.#watch.abort();
    this.#session.stop();
    await this.#queue.stop();
    await this.#binding.stop();
    if (this.#withdrawal() === undefined) await this.#keepView(true);
  }

  #reading(): ClockReading {
    const { clock } = this.#options;
    return { wallMs: clock.now(), monotonicMs: clock.monotonicMs() };
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
      this.#acknowledged = '';
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
        for (const { deviceId, online, endpoints } of effect.states) {
          this.#states.set(deviceId, { isOnline: online, endpoints });
        }
        break;
      case 'server-time': {
        const told = { serverTimeMs: effect.serverTimeMs, durationMs: effect.leaseMs };
        this.#lease = renewLease(this.#lease, told, this.#reading());
        return;
      }
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
    if (this.#end === 'device-deleted' || this.#end === 'device-expired') return this.#end;
    if (this.#sessionState === 'live' || this.#view === undefined) return undefined;
    // A view without a lease was never given one: it came from no stream of ours.
    const remaining =
      this.#lease === undefined ? 0 : leaseRemainingMs(this.#lease, this.#reading());
    return remaining > 0 ? undefined : 'lease-ended';
  }

  /** One run of the queue. Never rejects: what goes wrong is reported, and the next run tries again. */
  async #run(): Promise<void> {
    const { machine, kept, logger } = this.#options;
    const { enrolment } = this.#binding;
    if (this.#lease !== undefined) this.#lease = advanceLease(this.#lease, this.#reading());
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
          states: this.#states,
          withdrawal: this.#withdrawal(),
        },
        { memory: this.#memory, traceparent, beforeApply: (model) => this.#keepPins(model) },
      );
      this.#report = report;
      this.#model = report.model;
      this.#memory = report.model.memory;
      if (view !== undefined) this.#appliedRevision = view.revision;
      this.#acknowledge(view, report);
      this.#forgetInvisible();
      this.#sayProblem();
      await this.#afterwards(report);
    } catch (error) {
      logger.error({ error }, 'a run failed unexpectedly');
    }
  }

  async #afterwards(report: MachineReport): Promise<void> {
    if (this.#end === 'device-deleted' || this.#end === 'device-expired') {
      await this.#dropView();
      this.#ready.resolve();
      return;
    }
    await this.#keepView(false);
    const isCurrent = this.#appliedRevision >= this.#options.readyRevision;
    const isWhole = report.failure === undefined;
    if (isWhole && isCurrent && this.#appliedRevision > 0n) this.#ready.resolve();
    if (this.#end !== undefined) this.#ready.resolve();
    if (this.#isStopped) return;
    this.#reporter.report(report);
    this.#publishBinding();
  }

  async #keepPins(model: DeviceModel): Promise<void> {
    if (!model.arePinsChanged && !this.#arePinsUnsaved) return;
    const { store, kept, logger } = this.#options;
    this.#arePinsUnsaved = true;
    await store.savePins(kept.keys, model.memory.pins).then(
      () => {
        this.#arePinsUnsaved = false;
      },
      (error: unknown) => logger.error({ error }, 'pins were not kept'),
    );
  }

  async #keepView(isForced: boolean): Promise<void> {
    const { store, kept, clock, logger } = this.#options;
    const view = this.#view;
    if (view === undefined) return;
    const digest = Buffer.from(view.digest.toBytes()).toString('hex');
    const isDue = clock.monotonicMs() - this.#savedAtMs >= KEEP_INTERVAL_MS;
    if (!isForced && digest === this.#savedDigest && !isDue) return;
    const lease = this.#lease === undefined ? undefined : leaseRecord(this.#lease, this.#reading());
    const endpoints = new Map(
      [...this.#states].map(([deviceId, state]) => [deviceId, state.endpoints] as const),
    );
    await store.saveView(kept.keys, { view, lease, endpoints }).then(
      () => {
        this.#savedDigest = digest;
        this.#savedAtMs = clock.monotonicMs();
      },
      (error: unknown) => logger.error({ error }, 'the view was not kept'),
    );
  }

  /** A restart must not bring back the peers of a device that was removed. */
  async #dropView(): Promise<void> {
    const { store, kept, logger } = this.#options;
    this.#view = undefined;
    for (const round of ['present', 'previous']) {
      await store
        .saveView(kept.keys, {})
        .catch((error: unknown) => logger.error({ error, round }, 'the view was not dropped'));
    }
  }

  #acknowledge(view: View | undefined, report: MachineReport): void {
    if (view === undefined || this.#sessionState !== 'live') return;
    const digest = view.digest.toBytes();
    const { problem } = report;
    const said = `${view.revision} ${Buffer.from(digest).toString('hex')} ${problem}`;
    if (said === this.#acknowledged) return;
    this.#acknowledged = said;
    this.#session.tell({ kind: 'applied', revision: view.revision, digest, problem });
  }

  #forgetInvisible(): void {
    const visible = new Set(
      [...(this.#model?.accepted ?? []), ...(this.#model?.refused ?? [])].map(
        (peer) => peer.deviceId,
      ),
    );
    if (this.#model === undefined || this.#withdrawal() !== undefined) return;
    for (const deviceId of this.#states.keys()) {
      // Soft state may come before the entry of its peer; a bounded number of such waits for it.
      if (!visible.has(deviceId) && this.#states.size > 2 * visible.size + 64) {
        this.#states.delete(deviceId);
      }
    }
  }

  #publishBinding(): void {
    const self = this.#model?.self;
    if (self === undefined || this.#sessionState !== 'live') return;
    this.#binding.ensure({ vpcId: self.vpcId, serial: self.bindingSerial });
  }

  #daemonState(): DaemonState {
    if (this.#isStopped) return DaemonState.STOPPING;
    if (this.#end === 'device-deleted' || this.#end === 'device-expired')
      return DaemonState.REMOVED;
    if (this.#view === undefined) return DaemonState.STARTING;
    return this.#sessionState === 'live' ? DaemonState.RUNNING : DaemonState.OFFLINE;
  }

  /** One line: what is wrong and what to do, or empty. */
  #problem(): string {
    if (this.#end !== undefined && this.#end !== 'stopped') return endings[this.#end];
    const failure = this.#sessionState === 'live' ? undefined : this.#failure;
    const problems = [
      this.#report?.problem ?? '',
      this.#arePinsUnsaved ? PINS_UNSAVED : '',
      this.#isSuperseded ? SUPERSEDED : '',
      failure === undefined ? '' : describeOutage(failure),
    ];
    return problems.filter((line) => line !== '').join('; ');
  }

  #sayProblem(): void {
    const problem = this.#problem();
    if (problem === this.#saidProblem) return;
    this.#saidProblem = problem;
    if (problem !== '') this.#options.say(problem);
  }
}
