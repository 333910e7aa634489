import type { Part } from '@nexodus/lifecycle';
import type { LogFollower } from './log-follower.ts';
import { outsideTraces } from './trace-context.ts';
import { VpcTracker, type VpcTrackerOptions } from './vpc-tracker.ts';

/** A tracker without streams is kept this long: an agent that reconnects finds its VPC ready. */
const KEEP_IDLE_MS = 60_000;

/** What the trackers need. */
export type VpcTrackersOptions = Omit<VpcTrackerOptions, 'follower'> & {
  readonly follower: Pick<LogFollower, 'refresh' | 'listen'>;
};

/** The VPCs that have streams on this replica. */
export class VpcTrackers {
  readonly part: Part = {
    name: 'network map',
    start: () => outsideTraces(() => this.#start()),
    stop: () => this.#stop(),
  };
  readonly #options: VpcTrackersOptions;
  readonly #trackers = new Map<string, VpcTracker>();
  readonly #stopping = new AbortController();
  #leave: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: VpcTrackersOptions) {
    this.#options = options;
  }

  /** The tracker of a VPC, where it is followed. */
  get(vpcId: string): VpcTracker | undefined {
    return this.#trackers.get(vpcId);
  }

  /** The tracker of a VPC; begins to follow it where nobody does yet. */
  require(vpcId: string): VpcTracker {
    const known = this.#trackers.get(vpcId);
    if (known !== undefined) return known;
    const tracker = new VpcTracker(vpcId, this.#options);
    this.#trackers.set(vpcId, tracker);
    tracker.start();
    return tracker;
  }

  #start(): Promise<void> {
    this.#leave = this.#options.follower.listen({
      begun: (vpcId) => this.get(vpcId)?.restart(),
      changed: (seen) => this.get(seen.change.vpcId)?.changed(seen),
      removed: (vpcId) => this.get(vpcId)?.removed(),
    });
    this.#running = this.#keepTidying();
    return Promise.resolve();
  }

  async #stop(): Promise<void> {
    this.#leave?.();
    this.#stopping.abort();
    await this.#running;
    await Promise.all([...this.#trackers.values()].map((tracker) => tracker.stop()));
    this.#trackers.clear();
  }

  async #keepTidying(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.wait(KEEP_IDLE_MS / 2, signal);
      const idle = [...this.#trackers].filter(([, tracker]) => tracker.isIdleFor(KEEP_IDLE_MS));
      for (const [vpcId] of idle) this.#trackers.delete(vpcId);
      await Promise.all(idle.map(([, tracker]) => tracker.stop()));
    }
  }
}
