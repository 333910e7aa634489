import type { Clock } from '@nexodus/clock';
import type { ListenAddress } from '@nexodus/config';
import type { Part } from '@nexodus/lifecycle';
import type { TransportAddress } from '@nexodus/stun-codec';
import type { Logger } from '@nexodus/telemetry';
import { answerBinding } from './core/binding-responder.ts';
import { type SourceLimit, SourceLimiter } from './core/source-limiter.ts';
import type { StunMetrics } from './stun-metrics.ts';
import { openUdpListener, type UdpListener } from './udp-listener.ts';

/** What the server is made of. */
export interface StunServerOptions {
  readonly listen: readonly ListenAddress[];
  readonly sourceLimit: SourceLimit;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: StunMetrics;
  /** Called when all addresses are bound, with the ports they got. */
  readonly onListening: (bound: readonly ListenAddress[]) => void;
}

/** The sockets of the STUN server, as a part: all are bound when it has started, or none is. */
export interface StunServer extends Part {
  /** Addresses that are bound, in the order of `listen`; empty while it does not run. */
  readonly addresses: readonly ListenAddress[];
}

/** Makes the server. Its start throws the ConfigError of the first address that cannot be bound. */
export function createStunServer(options: StunServerOptions): StunServer {
  const { clock, logger, metrics } = options;
  const limiter = new SourceLimiter(options.sourceLimit);
  let listeners: UdpListener[] = [];
  const answer = (datagram: Uint8Array, source: TransportAddress): Uint8Array | undefined => {
    const verdict = answerBinding(datagram, source, { limiter, nowMs: clock.monotonicMs() });
    metrics.decided(verdict);
    return 'reply' in verdict ? verdict.reply : undefined;
  };
  const onUnsent = (error?: Error): void => {
    metrics.unsent();
    logger.debug({ error }, 'an answer could not be sent');
  };
  const onError = (error: Error): void => logger.warn({ error }, 'a STUN socket failed');
  const stop = async (): Promise<void> => {
    const closing = listeners;
    listeners = [];
    await Promise.all(closing.map((listener) => listener.close()));
  };
  return {
    name: 'stun sockets',
    get addresses() {
      return listeners.map(({ address }) => address);
    },
    start: async () => {
      try {
        for (const listen of options.listen) {
          listeners.push(await openUdpListener({ listen, answer, onUnsent, onError }));
        }
      } catch (error) {
        await stop();
        throw error;
      }
      options.onListening(listeners.map(({ address }) => address));
    },
    stop,
  };
}
