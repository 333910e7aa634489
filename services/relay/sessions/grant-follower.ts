import type { Clock } from '@nexodus/clock';
import type {
  GrantPayload,
  GrantServiceDefinition,
  WatchPassesRequest,
} from '@nexodus/contracts/relay';
import type { Part } from '@nexodus/lifecycle';
import type { RpcClient } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';

/** Grants in one request (grant.proto). */
const MAX_PER_REQUEST = 1_000;

/** Wait before the stream is opened again. */
const MIN_RETRY_MS = 200;
const MAX_RETRY_MS = 5_000;

/** A stream that says nothing for so long is dead; the apiserver speaks every 5 s. */
const SILENCE_MS = 15_000;

/** What the follower needs. */
export interface GrantFollowerOptions {
  readonly grants: Pick<RpcClient<typeof GrantServiceDefinition>, 'watchPasses'>;
  readonly clock: Clock;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
  /** Called with the ids of grants that hold no longer. */
  readonly revoked: (grantIds: readonly string[]) => void;
}

type Word = Partial<WatchPassesRequest>;

/** Hears from the control plane which grants of this relay hold no longer. Grants hold until their end without it. */
export class GrantFollower {
  readonly part: Part = {
    name: 'grant follower',
    start: async () => {
      this.#running = this.#run();
    },
    stop: async () => {
      this.#stopping.abort();
      this.#wake.resolve();
      await this.#running;
    },
  };
  readonly #options: GrantFollowerOptions;
  readonly #stopping = new AbortController();
  readonly #followed = new Map<string, GrantPayload>();
  /** What the control plane does not know yet, by grant id: to follow it, or no longer. */
  #news = new Map<string, GrantPayload | undefined>();
  #wake = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #isFollowing = false;

  constructor(options: GrantFollowerOptions) {
    this.#options = options;
  }

  /** Whether the stream is up. */
  get isFollowing(): boolean {
    return this.#isFollowing;
  }

  /** Follows a grant from now on. */
  follow(grant: GrantPayload): void {
    this.#followed.set(grant.grantId, grant);
    this.#news.set(grant.grantId, grant);
    this.#wake.resolve();
  }

  /** Follows a grant no longer. */
  unfollow(grantId: string): void {
    if (!this.#followed.delete(grantId)) return;
    this.#news.set(grantId, undefined);
    this.#wake.resolve();
  }

  async #run(): Promise<void> {
    const { clock, logger, random } = this.#options;
    const { signal } = this.#stopping;
    let retryMs = MIN_RETRY_MS;
    while (!signal.aborted) {
      try {
        await this.#follow();
      } catch (error) {
        if (!signal.aborted) logger.debug({ error }, 'grants are not followed');
      }
      if (this.#isFollowing) retryMs = MIN_RETRY_MS;
      this.#isFollowing = false;
      if (signal.aborted) return;
      await clock.wait(retryMs * (0.5 + random()), signal);
      retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
    }
  }

  /** One stream: names all that is held first. */
  async #follow(): Promise<void> {
    const { clock, grants, revoked } = this.#options;
    const ending = new AbortController();
    const signal = AbortSignal.any([this.#stopping.signal, ending.signal]);
    this.#news = new Map(this.#followed);
    const silence = (): ReturnType<Clock['setTimer']> =>
      clock.setTimer(SILENCE_MS, () => ending.abort());
    let timer = silence();
    try {
      for await (const said of grants.watchPasses(this.#words(signal), { signal })) {
        timer.cancel();
        timer = silence();
        this.#isFollowing = true;
        for (const grantId of said.revokedGrantIds) this.#followed.delete(grantId);
        if (said.revokedGrantIds.length > 0) revoked(said.revokedGrantIds);
      }
    } finally {
      timer.cancel();
      ending.abort();
      this.#wake.resolve();
    }
  }

  async *#words(signal: AbortSignal): AsyncGenerator<Word> {
    while (!signal.aborted) {
      const news = [...this.#news].slice(0, MAX_PER_REQUEST);
      for (const [grantId] of news) this.#news.delete(grantId);
      if (news.length > 0) yield wordOf(news);
      else {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers<void>();
      }
    }
  }
}

function wordOf(news: readonly (readonly [string, GrantPayload | undefined])[]): Word {
  return {
    follow: news.flatMap(([, grant]) => grant ?? []),
    unfollowGrantIds: news.flatMap(([grantId, grant]) => (grant === undefined ? grantId : [])),
  };
}
