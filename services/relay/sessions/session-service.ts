import { randomBytes } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import type { GrantPayload, SignedGrant } from '@nexodus/contracts/relay';
import type {
  AttachRequest,
  AttachResponse,
  SessionServiceImplementation,
} from '@nexodus/contracts/relay-session';
import { parseDevicePublicKey } from '@nexodus/device-identity';
import { type GrantVerdict, verifyAttachment } from '@nexodus/relay-grant';
import { RpcError, type ServedCall, Status, unauthenticated } from '@nexodus/rpc';
import type { Attachment, AttachMessage, DeviceLine } from './attachments.ts';
import type { SessionHub } from './session-hub.ts';

/** What the handlers need. */
export interface SessionServiceOptions {
  readonly relayId: string;
  readonly hub: SessionHub;
  readonly verify: (signed: SignedGrant, devices: 1 | 2) => Promise<GrantVerdict>;
  readonly clock: Clock;
  /** Time between two heartbeats. */
  readonly heartbeatMs: number;
  /** A stream that says nothing for so long is over. */
  readonly silenceMs: number;
}

/** Messages that may wait for a device that reads nothing. */
const MAX_WAITING = 1_000;

/** A device proves itself within this time; streams that did not yet are so many at most. */
const OPENING_MS = 10_000;
const MAX_UNPROVEN = 20_000;

/** Requests of one device that are worked on at once. */
const MAX_RUNNING = 64;

/** What a device gets to take in why its stream ends. */
const FAREWELL_MS = 1_000;

/** The handlers of nexodus.relay.session.v1.SessionService; session.proto says what they promise. */
export function createSessionService(
  options: SessionServiceOptions,
): SessionServiceImplementation<ServedCall<null>> {
  const unproven = new Set<AttachStream>();
  return {
    attach: async function* attach(requests, { hangUpAfter, signal }) {
      if (unproven.size >= MAX_UNPROVEN) throw busyError();
      const stream = new AttachStream(options);
      unproven.add(stream);
      void stream.proven.then(() => unproven.delete(stream));
      void stream.over.then(() => hangUpAfter(FAREWELL_MS));
      yield* stream.run(requests, signal);
    },
  };
}

/** What costs the relay work. */
const REQUESTS: ReadonlySet<string> = new Set(['closeSession', 'openSession', 'invite']);

function busyError(): RpcError {
  const message = 'too many devices attach at this moment: try again';
  return new RpcError(Status.RESOURCE_EXHAUSTED, message, { reason: 'RELAY_FULL' });
}

function tooManyError(): RpcError {
  const message = 'this device asks too much at once';
  return new RpcError(Status.RESOURCE_EXHAUSTED, message, { reason: 'TOO_MANY_REQUESTS' });
}

/** One device's stream. */
class AttachStream implements DeviceLine {
  readonly #options: SessionServiceOptions;
  readonly #nonce = randomBytes(32);
  readonly #waiting: AttachMessage[] = [];
  readonly #over = Promise.withResolvers<void>();
  readonly #proven = Promise.withResolvers<void>();
  #wake = Promise.withResolvers<void>();
  #attachment: Attachment | undefined;
  #error: RpcError | undefined;
  #isOver = false;
  readonly #openedAtMs: number;
  #heardAtMs: number;
  #running = 0;

  constructor(options: SessionServiceOptions) {
    this.#options = options;
    this.#openedAtMs = options.clock.monotonicMs();
    this.#heardAtMs = this.#openedAtMs;
  }

  /** Resolves when the end of the stream is decided. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Resolves when the device has proven itself, or the end of the stream is decided. */
  get proven(): Promise<void> {
    return this.#proven.promise;
  }

  say(message: AttachMessage): void {
    if (this.#isOver) return;
    this.#waiting.push(message);
    if (this.#waiting.length > MAX_WAITING) this.#end();
    else this.#wake.resolve();
  }

  offer(message: AttachMessage, mostWaiting: number): boolean {
    if (this.#isOver || this.#waiting.length >= mostWaiting) return false;
    this.say(message);
    return true;
  }

  end(error: RpcError): void {
    if (this.#isOver) return;
    this.#error = error;
    this.#end();
  }

  async *run(
    requests: AsyncIterable<AttachRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<Pick<AttachResponse, 'message'>> {
    const gone = (): void => this.#end();
    signal.addEventListener('abort', gone, { once: true });
    const { clock, heartbeatMs, relayId } = this.#options;
    this.say({ $case: 'challenge', value: { nonce: this.#nonce, relayId } });
    void this.#hear(requests);
    try {
      for (;;) {
        const message = this.#waiting.shift();
        if (message !== undefined) yield { message };
        else if (this.#isOver) break;
        else if (await this.#isQuietFor(clock, heartbeatMs)) this.#beat();
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      signal.removeEventListener('abort', gone);
      this.#end();
      if (this.#attachment !== undefined) this.#options.hub.detach(this.#attachment);
    }
  }

  /** Waits until there is something to say; true when there was nothing for so long. */
  async #isQuietFor(clock: Clock, durationMs: number): Promise<boolean> {
    let isQuiet = false;
    const timer = clock.setTimer(durationMs, () => {
      isQuiet = true;
      this.#wake.resolve();
    });
    await this.#wake.promise;
    timer.cancel();
    this.#wake = Promise.withResolvers<void>();
    return isQuiet;
  }

  #beat(): void {
    const { clock, silenceMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const isLate = this.#attachment === undefined && nowMs - this.#openedAtMs >= OPENING_MS;
    if (isLate) this.end(unauthenticated('PROOF_INVALID', 'no attachment came in time'));
    else if (nowMs - this.#heardAtMs >= silenceMs) this.#end();
    else this.say({ $case: 'heartbeat', value: { ping: 0n } });
  }

  async #hear(requests: AsyncIterable<AttachRequest>): Promise<void> {
    try {
      for await (const { message } of requests) {
        if (this.#isOver) return;
        this.#heardAtMs = this.#options.clock.monotonicMs();
        if (message?.$case === 'attachment') await this.#attach(message.value);
        else if (this.#attachment !== undefined) this.#act(this.#attachment, message);
        else this.end(unauthenticated('PROOF_INVALID', 'the first request is an attachment'));
      }
    } catch {
      // A broken stream is an ended one.
    } finally {
      this.#end();
    }
  }

  async #attach({
    pass: signed,
    signature,
  }: {
    pass?: SignedGrant | undefined;
    signature: Uint8Array;
  }): Promise<void> {
    const { clock, hub } = this.#options;
    try {
      const isTooMany = this.#attachment?.requests.take(1, clock.monotonicMs()) === false;
      if (isTooMany) throw tooManyError();
      const pass = await this.#checkPass(signed, signature);
      if (this.#isOver) return;
      if (this.#attachment !== undefined) {
        hub.renew(this.#attachment, pass);
        return;
      }
      this.#attachment = hub.attach(pass, this);
      this.#proven.resolve();
      this.say({ $case: 'attached', value: { serverTimeMs: BigInt(clock.now()) } });
    } catch (error) {
      // Only errors for the wire are thrown here: by the checks above and by the hub.
      this.end(error as RpcError);
    }
  }

  async #checkPass(signed: SignedGrant | undefined, signature: Uint8Array): Promise<GrantPayload> {
    if (signed === undefined) throw unauthenticated('GRANT_INVALID', 'an attachment has a pass');
    const verdict = await this.#options.verify(signed, 1);
    if (!verdict.ok) throw unauthenticated(verdict.refusal, 'the pass does not hold here');
    const [device] = verdict.grant.devices;
    const statement = {
      relayId: this.#options.relayId,
      nonce: this.#nonce,
      passPayload: signed.payload,
    };
    const isProven =
      device !== undefined &&
      verifyAttachment(statement, parseDevicePublicKey(device.devicePublicKey), signature);
    if (!isProven) throw unauthenticated('PROOF_INVALID', 'the device did not prove its key');
    return verdict.grant;
  }

  #act(attachment: Attachment, message: AttachRequest['message']): void {
    const { clock, hub } = this.#options;
    const isRequest = message !== undefined && REQUESTS.has(message.$case);
    if (isRequest && !attachment.requests.take(1, clock.monotonicMs())) {
      this.end(tooManyError());
    } else if (message?.$case === 'closeSession') {
      hub.closeSession(attachment, message.value.sessionId);
    } else if (message?.$case === 'openSession') {
      this.#run(hub.openSession(attachment, message.value.grant));
    } else if (message?.$case === 'invite') {
      this.#run(hub.invite(attachment, message.value));
    } else if (message?.$case === 'signal') {
      hub.signals.pass(attachment, message.value);
    } else if (message?.$case === 'heartbeat' && message.value.ping !== 0n) {
      this.say({ $case: 'heartbeat', value: message.value });
    }
  }

  /** A device that asks for more than is worked on at once is cut off. */
  #run(work: Promise<void>): void {
    this.#running += 1;
    if (this.#running > MAX_RUNNING) this.#end();
    work.then(
      () => (this.#running -= 1),
      () => this.#end(),
    );
  }

  #end(): void {
    this.#isOver = true;
    this.#proven.resolve();
    this.#over.resolve();
    this.#wake.resolve();
  }
}
