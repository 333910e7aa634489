import type { Clock, Timer } from '@nexodus/clock';
import type { Logger } from '@nexodus/telemetry';
import type { PortShare } from '../dataplane/index.ts';
import type { PortSocket } from './port-socket.ts';

/** What sharing the tunnel's port needs. */
export interface SharedPortOptions {
  /** Undefined where this machine cannot. */
  readonly portShare: PortShare | undefined;
  readonly portSocket: PortSocket;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onChange: () => void;
}

/** A failure to share may pass: the table is tried again so much later. */
const RETRY_MS = 30_000;

/** Keeps the agent's own sockets on the tunnel's port, whichever that is. */
export class SharedPort {
  readonly #options: SharedPortOptions;
  #tunnelPort = 0;
  #sharedPort = 0;
  #settledPort = 0;
  #timer: Timer | undefined;
  #last: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: SharedPortOptions) {
    this.#options = options;
  }

  /** 0: none yet. */
  get tunnelPort(): number {
    return this.#tunnelPort;
  }

  /** Whether the sockets send and receive as the tunnel's port. */
  get isShared(): boolean {
    return this.#tunnelPort !== 0 && this.#sharedPort === this.#tunnelPort;
  }

  /** Whether it is known if they do. */
  get isSettled(): boolean {
    return this.#tunnelPort !== 0 && this.#settledPort === this.#tunnelPort;
  }

  /** The tunnel's port at this moment. */
  tellPort(port: number): void {
    if (port === 0 || port === this.#tunnelPort) return;
    this.#tunnelPort = port;
    void this.renew();
  }

  /** Puts the rules in place again, whatever became of them. Never rejects. */
  renew(): Promise<void> {
    this.#last = this.#last.then(() => this.#install());
    return this.#last;
  }

  /** Takes the rules away. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#last;
    await this.#options.portShare?.remove().catch((error: unknown) => {
      this.#options.logger.warn({ error }, 'the rules of the shared port stay');
    });
  }

  async #install(): Promise<void> {
    const { clock, logger, portShare, portSocket, onChange } = this.#options;
    const port = this.#tunnelPort;
    if (this.#isClosed || port === 0) return;
    this.#timer?.cancel();
    try {
      await portShare?.install({ tunnelPort: port, ...portSocket.ports });
      this.#sharedPort = portShare === undefined ? 0 : port;
    } catch (error) {
      this.#sharedPort = 0;
      logger.warn({ error }, 'relays are registered with by handshakes alone: no nftables');
      this.#timer = clock.setTimer(RETRY_MS, () => void this.renew());
    }
    this.#settledPort = port;
    onChange();
  }
}
