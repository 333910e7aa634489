/** A message as a subscriber sees it. Its bytes are shared by all who got it and must not be changed. */
export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * `connecting` until the first connection, then `connected` and `disconnected` in turn, `closed` at the end. The
 * in-process bus is connected until it is closed.
 */
export type BusStatus = 'connecting' | 'connected' | 'disconnected' | 'closed';

/** Messages may be missing from here on; whoever keeps state from them reads it anew. */
export interface BusGap {
  /** The subscriber was too slow, or the bus could not be reached for a while. */
  readonly reason: 'overflow' | 'reconnect';
  /** How many were dropped, as far as that is known. */
  readonly dropped: number;
}

/** How a subscription delivers. */
export interface SubscribeOptions {
  /** Of all subscriptions with the same queue name, one gets each message. */
  readonly queue?: string;
  /** Messages that may wait for the handler; the oldest is dropped beyond that. 1,024 by default. */
  readonly pendingMax?: number;
  /** Called in order with the messages, before the first one after the gap. */
  readonly onGap?: (gap: BusGap) => void;
  /** Takes what the handler throws; delivery goes on. */
  readonly onError?: (error: unknown) => void;
}

/** Called with one message at a time; the next one waits for the promise. */
export type BusHandler = (message: BusMessage) => void | Promise<void>;

/** One subscription. */
export interface BusSubscription {
  /** No handler is begun afterwards. Idempotent. */
  unsubscribe(): void;
}

/**
 * The doorbell: it says that something changed; what changed is read elsewhere.
 *
 * - At most once. A message is lost when the bus cannot be reached, when nobody listens, and when a subscriber is too
 *   slow. `onGap` tells a subscriber that it fell behind or was cut off; it must also look by itself now and then.
 * - In order for one publisher and one subscription.
 * - Nothing here blocks or fails because the bus is down.
 * - The trace context that is active at `publish` (W3C `traceparent`) is active again in the handler, in a span of kind
 *   consumer.
 */
export interface MessageBus {
  readonly status: BusStatus;
  /** How many messages `publish` did not hand over because the bus was not connected. */
  readonly droppedPublishes: number;
  /**
   * Hands a message over; false if it was dropped because the bus is not connected.
   *
   * @throws InvalidSubjectError
   */
  publish(subject: string, data: Uint8Array, headers?: Readonly<Record<string, string>>): boolean;
  /**
   * Delivers what is published to subjects that match `pattern` (`*` is one token, a final `>` one or more), also after
   * every reconnection. Takes effect for others' messages when a `flush` begun after it has resolved to true.
   *
   * @throws InvalidSubjectError
   */
  subscribe(pattern: string, handler: BusHandler, options?: SubscribeOptions): BusSubscription;
  /** Calls `listener`, which must not throw, at every change of status, until the returned function is called. */
  onStatus(listener: (status: BusStatus) => void): () => void;
  /** Waits until the bus has taken in what was published and subscribed before; false if it cannot be reached. */
  flush(): Promise<boolean>;
  /** Ends all subscriptions, after what has arrived is handled. Idempotent. */
  close(): Promise<void>;
}
