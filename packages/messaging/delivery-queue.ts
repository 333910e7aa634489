import type { BusGap, BusHandler, BusMessage, SubscribeOptions } from './message-bus.ts';
import { deliverInTrace } from './trace-headers.ts';

const DEFAULT_PENDING_MAX = 1_024;

/** The bounded queue between a bus and one handler, which gets one message at a time and never inside `push`. */
export class DeliveryQueue {
  readonly #pattern: string;
  readonly #handler: BusHandler;
  readonly #options: SubscribeOptions;
  readonly #pendingMax: number;
  #pending: BusMessage[] = [];
  #gap: BusGap | undefined;
  #isOpen = true;
  #running: Promise<void> | undefined;

  constructor(pattern: string, handler: BusHandler, options: SubscribeOptions) {
    this.#pattern = pattern;
    this.#handler = handler;
    this.#options = options;
    this.#pendingMax = options.pendingMax ?? DEFAULT_PENDING_MAX;
  }

  /** Takes a message in; beyond the bound the oldest one is dropped. */
  push(message: BusMessage): void {
    if (!this.#isOpen) return;
    this.#pending.push(message);
    if (this.#pending.length > this.#pendingMax) {
      this.#pending.shift();
      this.#noteGap('overflow', 1);
    }
    this.#run();
  }

  /** Lets the subscriber know that messages may be missing. */
  noteReconnect(): void {
    if (!this.#isOpen) return;
    this.#noteGap('reconnect', 0);
    this.#run();
  }

  /** Forgets what is pending and takes nothing more in. */
  discard(): void {
    this.#isOpen = false;
    this.#pending = [];
    this.#gap = undefined;
  }

  /** Takes nothing more in and waits until everything pending is handled. */
  async drain(): Promise<void> {
    this.#isOpen = false;
    await this.#running;
  }

  #noteGap(reason: BusGap['reason'], dropped: number): void {
    this.#gap = { reason, dropped: (this.#gap?.dropped ?? 0) + dropped };
  }

  #run(): void {
    this.#running ??= this.#deliver().finally(() => {
      this.#running = undefined;
    });
  }

  async #deliver(): Promise<void> {
    await new Promise(setImmediate);
    while (this.#gap !== undefined || this.#pending.length > 0) {
      await this.#deliverNext();
    }
  }

  async #deliverNext(): Promise<void> {
    try {
      const gap = this.#gap;
      this.#gap = undefined;
      if (gap !== undefined) this.#options.onGap?.(gap);
      const message = this.#pending.shift();
      if (message !== undefined) await deliverInTrace(this.#pattern, message, this.#handler);
    } catch (error) {
      this.#options.onError?.(error);
    }
  }
}
