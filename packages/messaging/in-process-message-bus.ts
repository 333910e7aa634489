import { DeliveryQueue } from './delivery-queue.ts';
import type {
  BusHandler,
  BusMessage,
  BusStatus,
  BusSubscription,
  MessageBus,
  SubscribeOptions,
} from './message-bus.ts';
import { StatusSource } from './status-source.ts';
import { matchesSubject, requirePattern, requireSubject } from './subject.ts';
import { withTraceContext } from './trace-headers.ts';

interface Subscriber {
  readonly pattern: string;
  readonly queueName: string | undefined;
  readonly delivery: DeliveryQueue;
}

/** A bus between the modules of one process. */
export function createInProcessMessageBus(): MessageBus {
  return new InProcessMessageBus();
}

class InProcessMessageBus implements MessageBus {
  readonly #status = new StatusSource('connected');
  readonly #subscribers = new Set<Subscriber>();
  #turn = 0;
  #droppedPublishes = 0;

  get status(): BusStatus {
    return this.#status.current;
  }

  get droppedPublishes(): number {
    return this.#droppedPublishes;
  }

  publish(subject: string, data: Uint8Array, headers?: Readonly<Record<string, string>>): boolean {
    requireSubject(subject);
    if (this.status === 'closed') {
      this.#droppedPublishes += 1;
      return false;
    }
    const message: BusMessage = {
      subject,
      data: new Uint8Array(data),
      headers: withTraceContext(headers),
    };
    for (const { delivery } of this.#receivers(subject)) delivery.push(message);
    return true;
  }

  subscribe(pattern: string, handler: BusHandler, options: SubscribeOptions = {}): BusSubscription {
    requirePattern(pattern);
    const delivery = new DeliveryQueue(pattern, handler, options);
    const subscriber = { pattern, queueName: options.queue, delivery };
    if (this.status !== 'closed') this.#subscribers.add(subscriber);
    return {
      unsubscribe: () => {
        this.#subscribers.delete(subscriber);
        delivery.discard();
      },
    };
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.listen(listener);
  }

  flush(): Promise<boolean> {
    return Promise.resolve(this.status === 'connected');
  }

  async close(): Promise<void> {
    this.#status.set('closed');
    const draining = [...this.#subscribers].map(({ delivery }) => delivery.drain());
    this.#subscribers.clear();
    await Promise.all(draining);
  }

  /** Everybody without a queue, and one of each queue in turn. */
  #receivers(subject: string): Subscriber[] {
    const matching = [...this.#subscribers].filter(({ pattern }) =>
      matchesSubject(pattern, subject),
    );
    const queues = Map.groupBy(matching, ({ queueName }) => queueName);
    const everybody = queues.get(undefined) ?? [];
    queues.delete(undefined);
    this.#turn += 1;
    const chosen = [...queues.values()].flatMap(
      (members) => members[this.#turn % members.length] ?? [],
    );
    return [...everybody, ...chosen];
  }
}
