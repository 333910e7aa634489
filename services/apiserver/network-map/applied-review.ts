import type { Clock } from '@nexodus/clock';
import type { Applied } from '@nexodus/contracts/agent';
import type { ViewDigest } from '@nexodus/network-map';
import type { Logger } from '@nexodus/telemetry';

/** Whose word is read, and where it is kept. */
export interface AppliedReviewOptions {
  readonly vpcId: string;
  readonly deviceId: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn'>;
}

/** What the device should hold. */
export interface ExpectedViews {
  readonly revision: bigint;
  digestOf(deviceId: string): ViewDigest;
}

/** Least time between two problems of one stream in the log. */
const PROBLEM_MS = 10_000;

/** Least time between two comparisons, each of which adds up the whole view. */
const COMPARE_MS = 60_000;

/** Longest problem that is logged, in characters. */
const MAX_PROBLEM = 500;

/** Reads what one device says of the views that it applied. */
export class AppliedReview {
  readonly #options: AppliedReviewOptions;
  #problem = '';
  #problemAtMs = -Infinity;
  #comparedAtMs = -Infinity;
  #told = 0n;
  #comparable: bigint | undefined;

  constructor(options: AppliedReviewOptions) {
    this.#options = options;
  }

  /**
   * The stream was told of a revision. Only one that is new to the stream can be compared: of another the device may
   * have spoken before it heard what it was told last.
   */
  told(revision: bigint, kind: 'snapshot' | 'delta' | 'bookmark'): void {
    const isNew = revision > this.#told;
    if (isNew && kind !== 'snapshot') this.#comparable = revision;
    else if (kind !== 'bookmark') this.#comparable = undefined;
    this.#told = revision;
  }

  /** Logs what could not be put in force, where that is news. */
  noteProblem(problem: string): void {
    const { clock, deviceId, logger, vpcId } = this.#options;
    const nowMs = clock.monotonicMs();
    if (problem === this.#problem || nowMs - this.#problemAtMs < PROBLEM_MS) return;
    this.#problem = problem;
    if (problem === '') return;
    this.#problemAtMs = nowMs;
    logger.warn(
      { device_id: deviceId, vpc_id: vpcId, problem: problem.slice(0, MAX_PROBLEM) },
      'a device could not put its view in force whole',
    );
  }

  /** Whether the device holds something else than these views say, as far as that is certain and its turn. */
  differs({ revision, viewDigest }: Applied, views: ExpectedViews): boolean {
    const { clock, deviceId, logger, vpcId } = this.#options;
    const nowMs = clock.monotonicMs();
    if (revision !== this.#comparable || revision !== views.revision) return false;
    if (viewDigest.length === 0 || nowMs - this.#comparedAtMs < COMPARE_MS) return false;
    this.#comparedAtMs = nowMs;
    if (views.digestOf(deviceId).equals(viewDigest)) return false;
    logger.warn(
      { device_id: deviceId, vpc_id: vpcId, revision: String(revision) },
      'a device holds another view than it was told and gets a snapshot',
    );
    return true;
  }
}
