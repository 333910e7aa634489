import { NftError, type NftProgrammer } from '@nexodus/nftables';
import { parseElementCounters } from './element-counters.ts';
import type { ForwardingPlan, ForwardingSwitch } from './forwarding-switch.ts';
import {
  type Flow,
  type FlowElement,
  flowElements,
  markOf,
  renderChange,
  sourceKey,
} from './flow-elements.ts';
import type { DirectionCount, KernelOffload } from './kernel-offload.ts';
import { renderRemoval, renderRuleset, type RulesetOptions } from './ruleset.ts';

/** What an offload needs. */
export interface NftOffloadOptions extends Omit<RulesetOptions, 'guarded'> {
  readonly programmer: NftProgrammer;
  readonly forwarding: ForwardingSwitch;
  readonly interfaces: readonly string[];
}

/**
 * The kernel's part of a lane: it knows locked sources, so that strangers can be held off, and carries the data of the
 * sessions it is told to. It holds rules of its own only and leaves nothing behind when it is closed.
 */
export class NftOffload implements KernelOffload {
  readonly reasons: ForwardingPlan['reasons'];
  readonly #options: NftOffloadOptions;
  readonly #elements = new Map<bigint, FlowElement[]>();

  private constructor(options: NftOffloadOptions, reasons: ForwardingPlan['reasons']) {
    this.#options = options;
    this.reasons = reasons;
  }

  /**
   * Puts the table in place, then switches forwarding on: there is no moment at which others' packets would be forwarded.
   *
   * @throws {NftError} where there is no nftables or no right to change it
   * @throws Error of the system where forwarding cannot be switched on; nothing is left then
   */
  static start(options: NftOffloadOptions): NftOffload {
    const { forwarding, programmer, interfaces } = options;
    const plan = forwarding.plan(interfaces);
    programmer.apply(renderRuleset({ ...options, guarded: plan.guarded }));
    const offload = new NftOffload(options, plan.reasons);
    try {
      forwarding.enable(plan);
    } catch (error) {
      offload.close();
      throw error;
    }
    return offload;
  }

  update(sessionId: bigint, flow: Flow | undefined): boolean {
    const before = this.#elements.get(sessionId) ?? [];
    const after = flow === undefined ? [] : flowElements(flow);
    const { programmer, table } = this.#options;
    try {
      const commands = renderChange(table, before, after);
      if (commands !== '') programmer.apply(commands);
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      if (after.length > 0) this.update(sessionId, undefined);
      return false;
    }
    if (after.length === 0) this.#elements.delete(sessionId);
    else this.#elements.set(sessionId, after);
    return true;
  }

  counters({ sides }: Flow): readonly [DirectionCount, DirectionCount] | undefined {
    const { programmer, table } = this.#options;
    const family = sides[0].device?.address.family;
    const get = (set: string, keys: readonly string[]): string =>
      programmer.show(`get element ${table} ${set}${family} { ${keys.join(', ')} }`);
    const marks = sides.map(({ port }) => `0x${markOf(port).toString(16)}`);
    try {
      // In this order what departed is never less than what arrived before.
      const arrived = parseElementCounters(get('m_fl', sides.map(sourceKey)));
      const departed = parseElementCounters(get('s_po', marks));
      const none = { packets: 0, bytes: 0 };
      const count = (side: 0 | 1): DirectionCount => ({
        arrived: arrived.get(sourceKey(sides[side])) ?? none,
        departed: departed.get(marks[side] ?? '') ?? none,
      });
      return [count(0), count(1)];
    } catch (error) {
      if (error instanceof NftError) return undefined;
      throw error;
    }
  }

  narrowPorts(): number[] {
    const { programmer, table } = this.#options;
    try {
      const shown = programmer.show(`list set ${table} s_tb`);
      const [, elements = ''] = /elements = \{([^}]*)\}/.exec(shown) ?? [];
      return [...elements.matchAll(/(?:^|,)\s*(\d+) /g)].map(([, port]) => Number(port));
    } catch (error) {
      if (error instanceof NftError) return [];
      throw error;
    }
  }

  /** Datagrams that were refused before they reached a socket. */
  prefiltered(): { readonly junk: number; readonly rate: number } {
    const { programmer, table } = this.#options;
    try {
      const shown = programmer.show(`list counters table ${table}`);
      const packets = (name: string): number =>
        Number(new RegExp(`${name} \\{\\s+packets (\\d+)`).exec(shown)?.[1] ?? 0);
      return { junk: packets('c_junk'), rate: packets('c_rate') };
    } catch (error) {
      if (error instanceof NftError) return { junk: 0, rate: 0 };
      throw error;
    }
  }

  /** Switches forwarding back, then removes the table. */
  close(): void {
    const { forwarding, programmer, table } = this.#options;
    try {
      forwarding.restore();
    } finally {
      programmer.apply(renderRemoval(table));
    }
  }
}
