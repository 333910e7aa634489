/** A device's attachment to one relay: a stream that is kept up, watched, and opened again when it breaks. */
import type { Clock, Timer } from '@nexodus/clock';
import type { SignedGrant } from '@nexodus/contracts/relay';
import {
  type AttachRequest,
  type AttachResponse,
  type Challenge,
  SessionServiceDefinition,
} from '@nexodus/contracts/relay-session';
import type { DevicePrivateKey } from '@nexodus/device-identity';
import { proveAttachment } from '@nexodus/relay-grant';
import { createRpcClient, openChannel, RpcError } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { type ProxySettings, proxyTo } from '../service-access/proxy-settings.ts';
import { createOutbox, type Outbox } from '../session/outbox.ts';
import { reconnectPauseMs } from '../session/core/session-timing.ts';
import type { KnownRelay } from './core/relay-directory.ts';

/** What of a relay's words an attachment passes on. */
export type RelayWord = Exclude<
  NonNullable<AttachResponse['message']>,
  { $case: 'challenge' | 'attached' | 'heartbeat' }
>;

/** How connections to relays are made. */
export interface RelayAccess {
  /** CA that is believed, PEM; undefined: the system's. */
  readonly caPem: string | undefined;
  readonly proxies: ProxySettings;
}

/** What an attachment needs. */
export interface RelayAttachmentOptions {
  readonly relay: KnownRelay;
  readonly access: RelayAccess;
  readonly deviceKey: DevicePrivateKey;
  /** The pass to show; undefined while there is none. */
  readonly pass: () => SignedGrant | undefined;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** Attached, or not any more. */
  readonly onState: () => void;
  readonly onWord: (word: RelayWord) => void;
  /** The relay refused the pass: another one is needed. */
  readonly onPassRefused: () => void;
}

/** `idle`: no pass yet; `down`: the last attempt or stream failed, and the next one is due after a pause. */
export type AttachmentState = 'idle' | 'connecting' | 'attached' | 'down';

/** An attachment. */
export interface RelayAttachment {
  readonly state: AttachmentState;
  /** Round trip over the stream, in milliseconds; undefined before the first. */
  readonly roundTripMs: number | undefined;
  /** Tells the relay; false when it is not attached. */
  say(message: NonNullable<AttachRequest['message']>): boolean;
  /** There is a pass, or a newer one. */
  showPass(): void;
  /** Whether the relay's death must be noticed within 2 s rather than within seconds. */
  watch(isClose: boolean): void;
  /** Tries at once where it waits: the network changed. */
  hurry(): void;
  /** Idempotent. */
  close(): void;
}

/** While packets depend on the relay it is asked so often, and silence for so long is its death: 1.2 s at most. */
const CLOSE_BEAT_MS = 300;
const CLOSE_LIMIT_MS = 900;

/** Otherwise (session.proto: at least every 10 s). */
const BEAT_MS = 9_000;
const LIMIT_MS = 15_000;

/** A far relay may take some round trips. */
const LIMIT_ROUND_TRIPS = 3;

/** An attempt that has not attached by then is over. */
const ATTEMPT_MS = 10_000;

/** Makes the attachment and begins at once. */
export function openRelayAttachment(options: RelayAttachmentOptions): RelayAttachment {
  const attachment = new Attachment(options);
  attachment.hurry();
  return attachment;
}

interface Stream {
  readonly outbox: Outbox<AttachRequest>;
  readonly abort: AbortController;
  challenge: Challenge | undefined;
}

class Attachment implements RelayAttachment {
  readonly #options: RelayAttachmentOptions;
  #state: AttachmentState = 'idle';
  #roundTripMs: number | undefined;
  #stream: Stream | undefined;
  #timer: Timer | undefined;
  #attempts = 0;
  #isClose = false;
  #isClosed = false;
  #ping = 0n;
  #pingSentAtMs = 0;
  /** When the oldest ping was sent after which nothing was heard. */
  #askedAtMs: number | undefined;

  constructor(options: RelayAttachmentOptions) {
    this.#options = options;
  }

  get state(): AttachmentState {
    return this.#state;
  }

  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  say(message: NonNullable<AttachRequest['message']>): boolean {
    return this.#state === 'attached' && this.#stream?.outbox.push({ message }) === true;
  }

  showPass(): void {
    if (this.#state === 'idle') this.hurry();
    else if (this.#state === 'attached' && this.#stream !== undefined) this.#prove(this.#stream);
  }

  watch(isClose: boolean): void {
    if (this.#isClose === isClose) return;
    this.#isClose = isClose;
    if (this.#state === 'attached') this.#beat();
  }

  hurry(): void {
    if (this.#isClosed || this.#stream !== undefined) return;
    this.#timer?.cancel();
    if (this.#options.pass() === undefined) {
      this.#state = 'idle';
      return;
    }
    if (this.#state === 'idle') this.#state = 'connecting';
    const stream = { outbox: createOutbox<AttachRequest>(), abort: new AbortController() };
    this.#stream = { ...stream, challenge: undefined };
    this.#timer = this.#options.clock.setTimer(ATTEMPT_MS, () => stream.abort.abort());
    void this.#run(this.#stream);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#state = 'down';
    const { clock } = this.#options;
    const stream = this.#stream;
    stream?.outbox.end();
    // What was said last, that a session is closed for instance, still goes out.
    clock.setTimer(LAST_WORDS_MS, () => stream?.abort.abort());
  }

  async #run(stream: Stream): Promise<void> {
    const { access, logger, relay } = this.#options;
    const proxy = proxyTo(access.proxies, relay);
    const tunnel = proxy && {
      host: proxy.host,
      port: proxy.port,
      credentials: proxy.exportCredentials(),
    };
    const channel = openChannel({
      address: relay.origin,
      tls: { ca: access.caPem },
      proxy: tunnel,
    });
    const client = createRpcClient(SessionServiceDefinition, channel);
    let failure: unknown;
    try {
      const { signal } = stream.abort;
      for await (const { message } of client.attach(stream.outbox, { signal })) {
        if (!this.#isClosed) this.#hear(stream, message);
      }
    } catch (error) {
      failure = error;
      logger.debug({ error, relayId: relay.relayId }, 'an attachment ended');
    } finally {
      stream.outbox.end();
      channel.close();
      this.#ended(failure);
    }
  }

  #hear(stream: Stream, message: AttachResponse['message']): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#askedAtMs = undefined;
    if (message === undefined) return;
    switch (message.$case) {
      case 'challenge':
        stream.challenge = message.value;
        this.#prove(stream);
        return;
      case 'attached':
        this.#state = 'attached';
        this.#attempts = 0;
        this.#beat();
        this.#options.onState();
        return;
      case 'heartbeat':
        if (message.value.ping === 0n || message.value.ping !== this.#ping) return;
        this.#roundTripMs = nowMs - this.#pingSentAtMs;
        return;
      default:
        this.#options.onWord(message);
    }
  }

  #prove({ challenge, outbox }: Stream): void {
    const { deviceKey, relay } = this.#options;
    const pass = this.#options.pass();
    if (challenge === undefined || pass === undefined) return;
    // A signature for another relay's name would let this one pass for the device there.
    const statement = {
      relayId: relay.relayId,
      nonce: challenge.nonce,
      passPayload: pass.payload,
    };
    const signature = Buffer.from(proveAttachment(statement, deviceKey));
    outbox.push({ message: { $case: 'attachment', value: { pass, signature } } });
  }

  #beat(): void {
    this.#timer?.cancel();
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const [everyMs, leastMs] = this.#isClose
      ? [CLOSE_BEAT_MS, CLOSE_LIMIT_MS]
      : [BEAT_MS, LIMIT_MS];
    const limitMs = Math.max(leastMs, LIMIT_ROUND_TRIPS * (this.#roundTripMs ?? 0));
    if (this.#askedAtMs !== undefined && nowMs - this.#askedAtMs >= limitMs) {
      this.#stream?.abort.abort();
      return;
    }
    this.#ping += 1n;
    this.#pingSentAtMs = nowMs;
    this.#askedAtMs ??= nowMs;
    this.say({ $case: 'heartbeat', value: { ping: this.#ping } });
    this.#timer = clock.setTimer(everyMs, () => this.#beat());
  }

  #ended(failure: unknown): void {
    this.#stream = undefined;
    this.#askedAtMs = undefined;
    this.#timer?.cancel();
    if (this.#isClosed) return;
    const { clock, random, onPassRefused, onState } = this.#options;
    this.#state = 'down';
    if (failure instanceof RpcError && isAboutPass(failure)) onPassRefused();
    this.#timer = clock.setTimer(reconnectPauseMs(this.#attempts, random()), () => this.hurry());
    this.#attempts += 1;
    onState();
  }
}

const LAST_WORDS_MS = 500;

const passReasons: readonly (string | undefined)[] = [
  'GRANT_INVALID',
  'GRANT_EXPIRED',
  'GRANT_REVOKED',
  'AUDIENCE_INVALID',
];

function isAboutPass({ details }: RpcError): boolean {
  return passReasons.includes(details.reason);
}
