import type {
  AgentServiceDefinition,
  ConnectRequest,
  ConnectResponse,
  GoodbyeReason,
  PeerState,
  ViewEntries,
  ViewInterval,
} from '@nexodus/contracts/agent';
import { EndpointKind } from '@nexodus/contracts/type';
import { applyBookmark, applyInterval, decodeView, type View } from '@nexodus/network-map';
import { Metadata, type RpcClient } from '@nexodus/rpc';

type Message = NonNullable<ConnectRequest['message']>;

/** An agent as far as its stream goes: it folds what it is told with the agents' own functions, and acknowledges. */
export class TestAgent {
  readonly deviceId: string;
  view: View | undefined;
  readonly intervals: ViewInterval[] = [];
  readonly peerStates = new Map<string, PeerState>();
  epoch = 0n;
  goodbye: GoodbyeReason | undefined;
  error: unknown;
  isOpen = false;
  bookmarks = 0;
  /** Says that it holds nothing, whatever it holds. */
  isWrong = false;
  /** Reads nothing while it is pending. */
  pause: Promise<void> | undefined;
  #outgoing: Message[] = [];
  #wake: (() => void) | undefined;
  #isEnding = false;
  #abort = new AbortController();
  #running: Promise<void> | undefined;
  #sequence = 0n;

  constructor(deviceId: string) {
    this.deviceId = deviceId;
  }

  get hostnames(): string[] {
    const view = decodeView(this.view?.entries ?? new Map());
    return [...view.peers.values()].map(({ hostname }) => hostname).toSorted();
  }

  open(client: RpcClient<typeof AgentServiceDefinition>): this {
    this.goodbye = undefined;
    this.error = undefined;
    this.#isEnding = false;
    this.#outgoing = [];
    this.#sequence = 0n;
    this.#abort = new AbortController();
    this.isOpen = true;
    this.#say({
      $case: 'hello',
      value: {
        capability: 1,
        vpcId: this.view?.vpcId ?? '',
        logIncarnation: this.view?.logIncarnation ?? '',
        appliedRevision: this.view?.revision ?? 0n,
        viewDigest: Buffer.from(this.view?.digest.toBytes() ?? []),
        agentVersion: 'test',
        os: 'linux',
      },
    });
    const responses = client.connect(this.#requests(), {
      metadata: Metadata({ device: this.deviceId }),
      signal: this.#abort.signal,
    });
    this.#running = this.#listen(responses);
    return this;
  }

  /** Half-closes, as an agent that ends. */
  async close(): Promise<void> {
    this.#isEnding = true;
    this.#wake?.();
    await this.#running;
  }

  /** Breaks the connection. */
  async abort(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  announce(...addresses: string[]): void {
    this.#sequence += 1n;
    const endpoints = addresses.map((address) => ({ address, kind: EndpointKind.LOCAL }));
    const whereabouts = { endpoints, homeRelayId: '', relayLatencies: [] };
    this.#say({ $case: 'localState', value: { sequence: this.#sequence, ...whereabouts } });
  }

  heartbeat(): void {
    this.#say({ $case: 'heartbeat', value: {} });
  }

  #say(message: Message): void {
    this.#outgoing.push(message);
    this.#wake?.();
  }

  async *#requests(): AsyncGenerator<{ message: Message }> {
    while (!this.#isEnding) {
      for (const message of this.#outgoing.splice(0)) yield { message };
      if (this.#outgoing.length > 0 || this.#isEnding) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #listen(responses: AsyncIterable<ConnectResponse>): Promise<void> {
    let interval: ViewInterval | undefined;
    let frames: ViewEntries[] = [];
    try {
      for await (const { message } of responses) {
        await this.pause;
        if (message?.$case === 'viewInterval') {
          interval = message.value;
          frames = [];
        } else if (message?.$case === 'viewEntries') frames.push(message.value);
        else this.#hear(message);
        if (interval === undefined || frames.length < interval.frames) continue;
        this.view = applyInterval(this.view, interval, frames);
        this.intervals.push(interval);
        interval = undefined;
        this.#acknowledge();
      }
    } catch (error) {
      this.error = error;
    } finally {
      this.isOpen = false;
      this.#isEnding = true;
      this.#wake?.();
    }
  }

  #hear(message: ConnectResponse['message']): void {
    if (message?.$case === 'welcome') this.epoch = message.value.sessionEpoch;
    if (message?.$case === 'goodbye') this.goodbye = message.value.reason;
    if (message?.$case === 'peerStates') {
      for (const state of message.value.states) this.peerStates.set(state.deviceId, state);
    }
    if (message?.$case !== 'heartbeat' || message.value.revision === 0n) return;
    if (this.view === undefined) throw new Error('a bookmark without a view');
    this.bookmarks += 1;
    this.view = applyBookmark(this.view, message.value.revision);
    this.#acknowledge();
  }

  #acknowledge(): void {
    if (this.view === undefined) return;
    const { revision, digest } = this.view;
    const viewDigest = this.isWrong ? Buffer.alloc(32) : Buffer.from(digest.toBytes());
    this.#say({ $case: 'applied', value: { revision, viewDigest, problem: '' } });
  }
}
