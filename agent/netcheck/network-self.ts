/**
 * An agent's place in the network, kept up to date: its own addresses, and those by which the tunnel's port is seen from
 * outside. What changed is told; a fresh look at everything is made on request.
 */
import type { Clock, Timer } from '@nexodus/clock';
import type { ReachabilityMap } from '@nexodus/contracts/agent';
import { formatIpPrefix, type IpPrefix } from '@nexodus/netip';
import type { Logger } from '@nexodus/telemetry';
import type { PortSocket } from '../relay/port-socket.ts';
import { askPlaces } from './ask-places.ts';
import { checkNetwork, type NetworkCheckOptions } from './check-network.ts';
import { drawNetwork, type NetworkPicture } from './core/network-picture.ts';
import type { NetworkReport } from './core/network-report.ts';
import type { MappedPlace, Place } from './core/nat-verdict.ts';
import {
  FIRST_REFLEXIVE_CYCLE,
  type ReflexiveCycle,
  type ReflexiveEvent,
  stepReflexive,
} from './core/reflexive-cycle.ts';
import { NO_SERVERS, placeText, readStunServers, type StunServers } from './core/stun-servers.ts';
import { isTunnelActive, NO_ACTIVITY, noteTraffic } from './core/tunnel-activity.ts';
import type { HostView } from './host-view.ts';
import { StunExchange } from './stun-exchange.ts';

/** What keeping it up needs. */
export interface NetworkSelfOptions {
  readonly view: HostView;
  readonly portSocket: PortSocket;
  readonly tunnelInterface: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** Own or outside addresses are others. */
  readonly onChange: () => void;
}

/** How the tunnel stands. */
export interface TunnelStanding {
  /** 0: none yet. */
  readonly tunnelPort: number;
  /** Whether the agent's socket sends from it. */
  readonly isPortShared: boolean;
  /** Bytes of all peers, both ways. */
  readonly bytes: number;
  /** Prefixes of the VPC. */
  readonly vpcPrefixes: readonly IpPrefix[];
}

/** What a fresh look takes from others. */
export type RelayStanding = Pick<NetworkCheckOptions, 'relays' | 'homeRelayId' | 'access'>;

const NO_TUNNEL: TunnelStanding = {
  tunnelPort: 0,
  isPortShared: false,
  bytes: 0,
  vpcPrefixes: [],
};

/** Kept up from its making to `close`. */
export class NetworkSelf {
  readonly #options: NetworkSelfOptions;
  readonly #exchange: StunExchange;
  readonly #abort = new AbortController();
  /** Undefined before the first map. */
  #servers: StunServers | undefined;
  #tunnel = NO_TUNNEL;
  #activity = NO_ACTIVITY;
  #picture: NetworkPicture | undefined;
  #cycle: ReflexiveCycle = FIRST_REFLEXIVE_CYCLE;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #isLookDue = false;
  #checking: Promise<NetworkReport> | undefined;

  constructor(options: NetworkSelfOptions) {
    this.#options = options;
    this.#exchange = new StunExchange(options.portSocket, options.clock);
  }

  /** The network as it was seen last; undefined before the first look. */
  get picture(): NetworkPicture | undefined {
    return this.#picture;
  }

  /** As which the tunnel's port was seen last, and by whom; empty while it is not the agent's to send from. */
  get mapped(): readonly MappedPlace[] {
    return this.#tunnel.isPortShared ? this.#cycle.mapped : [];
  }

  /** The service's newest map. */
  tellMap(map: ReachabilityMap): void {
    const before = this.#serverTexts();
    this.#servers = readStunServers(map);
    if (this.#serverTexts() !== before) this.#step({ kind: 'changed' });
  }

  /** How the tunnel stands now. */
  tellTunnel(standing: TunnelStanding): void {
    const before = this.#tunnel;
    const nowMs = this.#options.clock.monotonicMs();
    this.#tunnel = standing;
    this.#activity = noteTraffic(this.#activity, standing.bytes, nowMs);
    const isOther =
      standing.tunnelPort !== before.tunnelPort || standing.isPortShared !== before.isPortShared;
    if (isOther) this.#step({ kind: 'changed' });
    if (textOf(standing) !== textOf(before)) void this.look();
    this.#step({ kind: 'activity', isActive: isTunnelActive(this.#activity, nowMs) });
  }

  /** Something of the machine's network may be different. Resolves after a look that began later. Never rejects. */
  look(): Promise<void> {
    this.#isLookDue = true;
    this.#looking ??= this.#lookWhileDue().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /**
   * Checks everything anew; a check that runs is shared.
   *
   * @throws {DataplaneError} where the machine's network cannot be read
   */
  check(relays: RelayStanding): Promise<NetworkReport> {
    this.#checking ??= this.#check(relays).finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  /** Asks nobody any more, and leaves the sockets open. Idempotent. */
  close(): void {
    this.#abort.abort();
    this.#timer?.cancel();
    this.#exchange.close();
  }

  async #check(relays: RelayStanding): Promise<NetworkReport> {
    const { clock, portSocket, view } = this.#options;
    const { tunnelPort, isPortShared } = this.#tunnel;
    return checkNetwork({
      ...relays,
      view,
      picture: await this.#draw(),
      portSocket,
      tunnelPort,
      isTunnelPort: isPortShared,
      servers: this.#servers,
      clock,
      signal: this.#abort.signal,
    });
  }

  async #lookWhileDue(): Promise<void> {
    while (this.#isLookDue && !this.#abort.signal.aborted) {
      this.#isLookDue = false;
      try {
        const picture = await this.#draw();
        const before = this.#picture;
        this.#picture = picture;
        if (before?.fingerprint === picture.fingerprint) continue;
        this.#step({ kind: 'changed' });
        if (!this.#abort.signal.aborted) this.#options.onChange();
      } catch (error) {
        this.#options.logger.debug({ error }, 'the network cannot be read');
      }
    }
  }

  async #draw(): Promise<NetworkPicture> {
    const { tunnelInterface, view } = this.#options;
    const [interfaces, routes] = await Promise.all([view.interfaces(), view.defaultRoutes()]);
    const { vpcPrefixes } = this.#tunnel;
    return drawNetwork({ interfaces, tunnelInterface, vpcPrefixes }, routes);
  }

  #step(event: ReflexiveEvent): void {
    if (this.#abort.signal.aborted) return;
    const { clock, onChange, random } = this.#options;
    const nowMs = clock.monotonicMs();
    const instant = { nowMs, random: random(), servers: this.#usableServers() };
    const step = stepReflexive(this.#cycle, event, instant);
    this.#cycle = step.cycle;
    this.#timer?.cancel();
    const { nextAtMs } = step.cycle;
    if (nextAtMs !== Infinity) {
      const delayMs = Math.max(0, nextAtMs - nowMs);
      this.#timer = clock.setTimer(delayMs, () => this.#step({ kind: 'wake' }));
    }
    if (step.ask.length > 0) void this.#ask(step.ask);
    if (step.isChanged) onChange();
  }

  async #ask(places: readonly Place[]): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#abort;
    const replies = await askPlaces(places, { exchange: this.#exchange, clock, signal });
    const mapped = places.flatMap((server) => {
      const seen = replies.get(placeText(server))?.mapped;
      return seen === undefined ? [] : [{ server, mapped: seen }];
    });
    this.#step({ kind: 'ended', mapped });
  }

  /** Those that the tunnel's port can ask: of the families that this machine has. */
  #usableServers(): readonly Place[] {
    if (!this.#tunnel.isPortShared) return [];
    const has = (family: number): boolean =>
      this.#picture?.own.usable.some((own) => own.family === family) !== false;
    const { ipv4, ipv6 } = this.#servers ?? NO_SERVERS;
    return [...(has(4) ? ipv4 : []), ...(has(6) ? ipv6 : [])];
  }

  #serverTexts(): string {
    const { ipv4, ipv6 } = this.#servers ?? NO_SERVERS;
    return [...ipv4, ...ipv6].map(placeText).join();
  }
}

function textOf({ vpcPrefixes }: TunnelStanding): string {
  return vpcPrefixes.map(formatIpPrefix).join();
}
