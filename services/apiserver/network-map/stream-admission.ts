import { RpcError, Status } from '@nexodus/rpc';

/** How many streams one replica takes in. */
export interface StreamAdmissionLimits {
  /** Streams that are being opened at the same time, of all devices. */
  readonly maxOpening: number;
  /** Calls of one device that have not ended, whatever became of their sessions. */
  readonly maxCallsOfDevice: number;
}

/** What is asked of a device that comes when there are too many; the agents spread what they wait beyond it. */
const RETRY_AFTER_MS = 2_000;

/**
 * Keeps what opening streams costs within bounds: when all devices of a service come back at once, it goes on serving
 * those that it took in, and the others come later.
 */
export class StreamAdmission {
  readonly #limits: StreamAdmissionLimits;
  readonly #calls = new Map<string, number>();
  #opening = 0;

  constructor(limits: StreamAdmissionLimits) {
    this.#limits = limits;
  }

  /**
   * Counts a call of a device. Returns what ends it, to be called once.
   *
   * @throws {RpcError} RESOURCE_EXHAUSTED with the time to wait
   */
  enter(deviceId: string): () => void {
    const calls = this.#calls.get(deviceId) ?? 0;
    if (calls >= this.#limits.maxCallsOfDevice) {
      throw exhausted('TOO_MANY_STREAMS', 'this device has too many streams that have not ended');
    }
    this.#calls.set(deviceId, calls + 1);
    return () => {
      const left = (this.#calls.get(deviceId) ?? 0) - 1;
      if (left > 0) this.#calls.set(deviceId, left);
      else this.#calls.delete(deviceId);
    };
  }

  /**
   * Opens a stream.
   *
   * @throws {RpcError} RESOURCE_EXHAUSTED with the time to wait; what `open` throws
   */
  async opening<T>(open: () => Promise<T>): Promise<T> {
    if (this.#opening >= this.#limits.maxOpening) {
      throw exhausted('TOO_MANY_OPENINGS', 'too many streams are being opened');
    }
    this.#opening += 1;
    try {
      return await open();
    } finally {
      this.#opening -= 1;
    }
  }
}

function exhausted(reason: string, message: string): RpcError {
  return new RpcError(Status.RESOURCE_EXHAUSTED, message, {
    reason,
    retryAfterMs: RETRY_AFTER_MS,
  });
}
