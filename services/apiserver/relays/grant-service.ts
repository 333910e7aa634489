import type { Clock } from '@nexodus/clock';
import type {
  GrantPayload,
  GrantServiceImplementation,
  WatchPassesRequest,
  WatchPassesResponse,
} from '@nexodus/contracts/relay';
import type { Ed25519PublicKey } from '@nexodus/device-identity';
import { grantKeyId } from '@nexodus/relay-grant';
import { invalidArgument, RpcError, type ServiceIdentity, Status } from '@nexodus/rpc';
import { FollowedGrants } from '../core/relays/followed-grants.ts';
import { isUuid } from '../core/uuid.ts';
import { Bell } from '../network-map/bell.ts';
import type { VpcTracker } from '../network-map/vpc-tracker.ts';

/** What the handlers need. */
export interface GrantServiceOptions {
  readonly followVpc: (vpcId: string) => Promise<VpcTracker>;
  readonly publicKey: Ed25519PublicKey<'relay-grant'>;
  readonly clock: Clock;
  /** Ends all streams. */
  readonly stopping: AbortSignal;
}

/** Bounds of one stream: a relay has two ports for each pair. */
const MAX_PER_REQUEST = 1_000;
const MAX_GRANTS = 100_000;

/** How often grants that could not be judged are looked at again. */
const REVIEW_MS = 1_000;

/** A stream says at least something so often. */
const HEARTBEAT_MS = 5_000;

/** The handlers of nexodus.relay.v1.GrantService; grant.proto says what they promise. */
export function createGrantService(
  options: GrantServiceOptions,
): GrantServiceImplementation<{ identity: ServiceIdentity }> {
  const keys = [
    { keyId: grantKeyId(options.publicKey), publicKey: Buffer.from(options.publicKey) },
  ];
  return {
    listGrantKeys: async () => ({ keys }),
    watchPasses: async function* watchPasses(requests, { signal }) {
      const watch = new PassWatch(options, AbortSignal.any([signal, options.stopping]));
      yield* watch.run(requests);
    },
  };
}

interface FollowedVpc {
  readonly grants: FollowedGrants;
  readonly tracker: VpcTracker;
  leave: () => void;
}

/** One relay's stream. */
class PassWatch {
  readonly #options: GrantServiceOptions;
  readonly #signal: AbortSignal;
  readonly #bell = new Bell();
  readonly #vpcs = new Map<string, FollowedVpc>();
  readonly #vpcOfGrant = new Map<string, string>();
  #revoked: string[] = [];
  #confirmed: string[] = [];
  #isOver = false;

  constructor(options: GrantServiceOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  async *run(requests: AsyncIterable<WatchPassesRequest>): AsyncGenerator<WatchPassesResponse> {
    const { clock } = this.#options;
    const ring = (): void => this.#bell.ring();
    this.#signal.addEventListener('abort', ring, { once: true });
    const heard = this.#hear(requests);
    heard.catch(ring);
    let heartbeatAtMs = clock.monotonicMs() + HEARTBEAT_MS;
    try {
      while (!this.#signal.aborted && !this.#isOver) {
        this.#reviewUndecided();
        const isDue = clock.monotonicMs() >= heartbeatAtMs;
        if (isDue || this.#revoked.length > 0 || this.#confirmed.length > 0) {
          heartbeatAtMs = clock.monotonicMs() + HEARTBEAT_MS;
          yield this.#take();
        } else await this.#bell.wait(clock, REVIEW_MS);
      }
      if (this.#isOver) await heard;
    } finally {
      this.#signal.removeEventListener('abort', ring);
      for (const { leave } of this.#vpcs.values()) leave();
    }
  }

  /** Takes in what the relay says until it ends the stream. */
  async #hear(requests: AsyncIterable<WatchPassesRequest>): Promise<void> {
    try {
      for await (const { follow, unfollowGrantIds } of requests) {
        this.#unfollow(unfollowGrantIds);
        await this.#follow(follow);
      }
    } finally {
      this.#isOver = true;
      this.#bell.ring();
    }
  }

  async #follow(grants: readonly GrantPayload[]): Promise<void> {
    if (grants.length > MAX_PER_REQUEST || this.#vpcOfGrant.size + grants.length > MAX_GRANTS) {
      throw new RpcError(Status.RESOURCE_EXHAUSTED, 'one relay may not follow so many grants');
    }
    for (const grant of grants) {
      const { grantId, vpcId } = grant;
      if (!isUuid(vpcId)) {
        throw invalidArgument([{ field: 'follow.vpc_id', description: 'is not a UUID' }]);
      }
      const vpc = await this.#vpc(vpcId);
      this.#vpcOfGrant.set(grantId, vpcId);
      vpc.grants.add(grant, this.#options.clock.monotonicMs());
      this.#judge(
        vpc,
        grant.devices.map(({ deviceId }) => deviceId),
      );
    }
  }

  #unfollow(grantIds: readonly string[]): void {
    for (const grantId of grantIds) {
      const vpcId = this.#vpcOfGrant.get(grantId) ?? '';
      this.#vpcOfGrant.delete(grantId);
      this.#vpcs.get(vpcId)?.grants.remove(grantId);
      this.#leaveUnused(vpcId);
    }
  }

  #leaveUnused(vpcId: string): void {
    const vpc = this.#vpcs.get(vpcId);
    if (vpc?.grants.size !== 0) return;
    vpc.leave();
    this.#vpcs.delete(vpcId);
  }

  async #vpc(vpcId: string): Promise<FollowedVpc> {
    const known = this.#vpcs.get(vpcId);
    if (known !== undefined) return known;
    const tracker = await this.#options.followVpc(vpcId);
    // The stream may have ended meanwhile: nobody would leave what is observed now.
    this.#signal.throwIfAborted();
    const vpc: FollowedVpc = { grants: new FollowedGrants(), tracker, leave: () => undefined };
    vpc.leave = tracker.observe({
      viewsChanged: (deviceIds) => this.#judge(vpc, deviceIds),
    });
    this.#vpcs.set(vpcId, vpc);
    return vpc;
  }

  #judge({ grants, tracker }: FollowedVpc, deviceIds: readonly string[] | 'all'): void {
    const nowMs = this.#options.clock.monotonicMs();
    const { revoked, confirmed } = grants.judge(deviceIds, tracker.views, nowMs);
    for (const grantId of revoked) {
      const vpcId = this.#vpcOfGrant.get(grantId) ?? '';
      this.#vpcOfGrant.delete(grantId);
      this.#leaveUnused(vpcId);
    }
    this.#revoked.push(...revoked);
    this.#confirmed.push(...confirmed);
    if (revoked.length > 0 || confirmed.length > 0) this.#bell.ring();
  }

  #reviewUndecided(): void {
    for (const vpc of this.#vpcs.values()) {
      const undecided = vpc.grants.undecided();
      if (undecided.length > 0) this.#judge(vpc, undecided);
    }
  }

  #take(): WatchPassesResponse {
    const told = { revokedGrantIds: this.#revoked, followedGrantIds: this.#confirmed };
    this.#revoked = [];
    this.#confirmed = [];
    return told;
  }
}
