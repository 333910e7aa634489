import { headers as createHeaders } from '@nats-io/transport-node';
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';

import { DeliveryQueue } from './delivery-queue.ts';
import type {
  BusHandler,
  BusMessage,
  BusStatus,
  BusSubscription,
  MessageBus,
  SubscribeOptions,
} from './message-bus.ts';
import { sessionOf, within } from './nats-link.ts';
import type { NatsLink, NatsSession } from './nats-link.ts';
import { StatusSource } from './status-source.ts';
import { requirePattern, requireSubject } from './subject.ts';
import { withTraceContext } from './trace-headers.ts';

/** What an answer from the server to a flush may take. */
const FLUSH_TIMEOUT_MS = 5_000;

interface Subscriber {
  readonly pattern: string;
  readonly queueName: string | undefined;
  readonly delivery: DeliveryQueue;
  /** On which connection the server knows of it. */
  attached?: { readonly connection: NatsConnection; readonly subscription: Subscription };
}

/** A bus on core NATS. The link stays open when the bus is closed. */
export function createNatsMessageBus(link: NatsLink): MessageBus {
  return new NatsMessageBus(sessionOf(link));
}

class NatsMessageBus implements MessageBus {
  readonly #session: NatsSession;
  readonly #status: StatusSource;
  readonly #subscribers = new Set<Subscriber>();
  readonly #unlisten: () => void;
  #droppedPublishes = 0;

  constructor(session: NatsSession) {
    this.#session = session;
    this.#status = new StatusSource(session.status);
    this.#unlisten = session.onStatus((status) => this.#follow(status));
  }

  get status(): BusStatus {
    return this.#status.current;
  }

  get droppedPublishes(): number {
    return this.#droppedPublishes;
  }

  publish(subject: string, data: Uint8Array, headers?: Readonly<Record<string, string>>): boolean {
    requireSubject(subject);
    const connection = this.#connected();
    // Without this the client would keep everything until it is connected again: stale news, and memory without bound.
    if (connection === undefined) {
      this.#droppedPublishes += 1;
      return false;
    }
    const natsHeaders = createHeaders();
    for (const [name, value] of Object.entries(withTraceContext(headers)))
      natsHeaders.set(name, value);
    // The client keeps a reference until it writes to the socket.
    connection.publish(subject, new Uint8Array(data), { headers: natsHeaders });
    return true;
  }

  subscribe(pattern: string, handler: BusHandler, options: SubscribeOptions = {}): BusSubscription {
    requirePattern(pattern);
    const delivery = new DeliveryQueue(pattern, handler, options);
    const subscriber: Subscriber = { pattern, queueName: options.queue, delivery };
    if (this.status !== 'closed') {
      this.#subscribers.add(subscriber);
      this.#attach(subscriber);
    }
    return {
      unsubscribe: () => {
        this.#subscribers.delete(subscriber);
        subscriber.attached?.subscription.unsubscribe();
        delivery.discard();
      },
    };
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.listen(listener);
  }

  async flush(): Promise<boolean> {
    const connection = this.#connected();
    if (connection === undefined) return false;
    let isFlushed = false;
    const answered = connection.flush().then(
      () => {
        isFlushed = true;
      },
      () => undefined,
    );
    await within(this.#session.clock, FLUSH_TIMEOUT_MS, answered);
    return isFlushed;
  }

  async close(): Promise<void> {
    this.#unlisten();
    const subscribers = [...this.#subscribers];
    this.#subscribers.clear();
    const isConnected = this.#connected() !== undefined;
    const ended = subscribers.map(async ({ attached }) => {
      if (isConnected) await attached?.subscription.drain();
    });
    await within(this.#session.clock, FLUSH_TIMEOUT_MS, Promise.allSettled(ended));
    for (const { attached } of subscribers) attached?.subscription.unsubscribe();
    await this.flush();
    this.#status.set('closed');
    await Promise.all(subscribers.map(({ delivery }) => delivery.drain()));
  }

  #connected(): NatsConnection | undefined {
    return this.status === 'connected' ? this.#session.connected : undefined;
  }

  #follow(status: BusStatus): void {
    if (status === 'connected') {
      for (const subscriber of this.#subscribers) {
        this.#attach(subscriber);
        subscriber.delivery.noteReconnect();
      }
    }
    this.#status.set(status);
  }

  /** The client renews subscriptions when it remakes a connection; a new connection knows none of them. */
  #attach(subscriber: Subscriber): void {
    const { connection } = this.#session;
    if (connection === undefined || connection.isClosed()) return;
    if (subscriber.attached?.connection === connection) return;
    const subscription = connection.subscribe(subscriber.pattern, {
      queue: subscriber.queueName,
      callback: (error, message) => {
        if (error === null) subscriber.delivery.push(toBusMessage(message));
      },
    });
    subscriber.attached = { connection, subscription };
  }
}

function toBusMessage(message: Msg): BusMessage {
  const headers: Record<string, string> = {};
  for (const name of message.headers?.keys() ?? [])
    headers[name.toLowerCase()] = message.headers?.get(name) ?? '';
  return { subject: message.subject, data: message.data, headers };
}
