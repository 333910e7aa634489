import {
  AgentServiceDefinition,
  type ConnectResponse,
  type GoodbyeReason,
  type Hello,
  type PeerState,
  type ReachabilityMap,
  type ViewEntries,
  type ViewInterval,
} from '@nexodus/contracts/agent';
import { applyBookmark, applyInterval, decodeView, type View } from '@nexodus/network-map';
import type { ApiCaller } from './callers.ts';

/** What a stream would say next, in the form that the client takes. */
type Outgoing = { message: { $case: string; value: unknown } };

/** A device's stream that folds what it hears, as an agent does, and acknowledges it. */
export class DeviceStream {
  readonly #abort = new AbortController();
  readonly #outgoing: Outgoing[] = [];
  #wake = Promise.withResolvers<void>();
  #interval: ViewInterval | undefined;
  #frames: ViewEntries[] = [];
  /** The view, from the first snapshot on. */
  view: View | undefined;
  /** Soft state of peers, newest. */
  readonly peerStates = new Map<string, PeerState>();
  /** Intervals and bookmarks heard: how many of each kind. */
  readonly heard = { intervals: 0, bookmarks: 0 };
  /** The relays and STUN servers, as last heard. */
  reachability: ReachabilityMap | undefined;
  goodbye: GoodbyeReason | undefined;
  /** Resolves when the stream has ended, with the error where one ended it. */
  readonly ended: Promise<unknown>;

  constructor(caller: ApiCaller, held?: View) {
    this.view = held;
    const hello: Partial<Hello> = {
      capability: 1,
      vpcId: held?.vpcId ?? '',
      logIncarnation: held?.logIncarnation ?? '',
      appliedRevision: held?.revision ?? 0n,
      viewDigest: held === undefined ? Buffer.alloc(0) : Buffer.from(held.digest.toBytes()),
    };
    this.say('hello', hello);
    this.ended = this.#run(caller).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  /** Ids of the peers that the view shows. */
  get peerIds(): string[] {
    return this.view === undefined
      ? []
      : [...decodeView(this.view.entries).peers.keys()].toSorted();
  }

  say($case: string, value: unknown): void {
    this.#outgoing.push({ message: { $case, value } });
    this.#wake.resolve();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }

  async #run(caller: ApiCaller): Promise<void> {
    const client = caller.client(AgentServiceDefinition);
    // The cases are those of ConnectRequest; `say` is untyped so that tests can say wrong things too.
    const requests = this.#requests() as AsyncIterable<object>;
    for await (const response of client.connect(requests, { signal: this.#abort.signal }))
      this.#hear(response);
  }

  async *#requests(): AsyncGenerator<Outgoing> {
    while (!this.#abort.signal.aborted) {
      for (let next = this.#outgoing.shift(); next !== undefined; next = this.#outgoing.shift())
        yield next;
      this.#wake = Promise.withResolvers<void>();
      await this.#wake.promise;
    }
  }

  #hear({ message }: ConnectResponse): void {
    switch (message?.$case) {
      case 'viewInterval':
        this.#interval = message.value;
        this.#frames = [];
        this.#complete();
        return;
      case 'viewEntries':
        this.#frames.push(message.value);
        this.#complete();
        return;
      case 'heartbeat':
        if (message.value.revision === 0n || this.view === undefined) return;
        this.view = applyBookmark(this.view, message.value.revision);
        this.heard.bookmarks += 1;
        this.#acknowledge(this.view);
        return;
      case 'peerStates':
        for (const state of message.value.states) this.peerStates.set(state.deviceId, state);
        return;
      case 'reachabilityMap':
        this.reachability = message.value;
        return;
      case 'goodbye':
        this.goodbye = message.value.reason;
        return;
      default:
    }
  }

  #complete(): void {
    if (this.#interval === undefined || this.#frames.length < this.#interval.frames) return;
    this.view = applyInterval(this.view, this.#interval, this.#frames);
    this.heard.intervals += 1;
    this.#interval = undefined;
    this.#acknowledge(this.view);
  }

  #acknowledge(view: View): void {
    this.say('applied', {
      revision: view.revision,
      viewDigest: Buffer.from(view.digest.toBytes()),
    });
  }
}
