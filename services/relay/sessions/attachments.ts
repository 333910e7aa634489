import type { AttachResponse } from '@nexodus/contracts/relay-session';
import type { GrantPayload } from '@nexodus/contracts/relay';
import type { RpcError } from '@nexodus/rpc';
import type { TokenBucket } from '../core/token-bucket.ts';

/** What is said to a device. */
export type AttachMessage = NonNullable<AttachResponse['message']>;

/** The stream of an attached device. */
export interface DeviceLine {
  /** Queues a message. */
  say(message: AttachMessage): void;
  /** Queues a message that may be lost; false, and it is, where so many wait already. */
  offer(message: AttachMessage, mostWaiting: number): boolean;
  /** Ends the stream after what is queued. The first end counts. */
  end(error: RpcError): void;
}

/** A device that has attached. */
export interface Attachment {
  readonly deviceId: string;
  readonly organizationId: string;
  readonly vpcId: string;
  /** The WireGuard key, as `keyText` gives it. */
  readonly keyText: string;
  readonly line: DeviceLine;
  /** Signals that it may send. */
  readonly signals: TokenBucket;
  /** Requests that it may make. */
  readonly requests: TokenBucket;
  /** The newest pass. */
  pass: GrantPayload;
}

/** Text that a WireGuard key is found by. */
export function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}

/** The devices that are attached: at most one stream for each. */
export class Attachments {
  readonly #byDevice = new Map<string, Attachment>();
  readonly #byKey = new Map<string, Attachment>();
  readonly #byPass = new Map<string, Attachment>();

  /** Number of devices. */
  get size(): number {
    return this.#byDevice.size;
  }

  /** All of them. */
  [Symbol.iterator](): IterableIterator<Attachment> {
    return this.#byDevice.values();
  }

  /** The attachment of a device. */
  get(deviceId: string): Attachment | undefined {
    return this.#byDevice.get(deviceId);
  }

  /** The attachment of the device that has this WireGuard key. */
  withKey(key: Uint8Array): Attachment | undefined {
    return this.#byKey.get(keyText(key));
  }

  /** The attachment that a pass made. */
  withPass(grantId: string): Attachment | undefined {
    return this.#byPass.get(grantId);
  }

  /** Adds an attachment, and returns the one of the same device that it replaces. */
  add(attachment: Attachment): Attachment | undefined {
    const before = this.#byDevice.get(attachment.deviceId);
    if (before !== undefined) this.remove(before);
    this.#byDevice.set(attachment.deviceId, attachment);
    this.#byKey.set(attachment.keyText, attachment);
    this.#byPass.set(attachment.pass.grantId, attachment);
    return before;
  }

  /** Replaces the pass of an attachment. */
  renew(attachment: Attachment, pass: GrantPayload): void {
    this.#byPass.delete(attachment.pass.grantId);
    attachment.pass = pass;
    if (this.has(attachment)) this.#byPass.set(pass.grantId, attachment);
  }

  /** Whether this very attachment is the device's. */
  has(attachment: Attachment): boolean {
    return this.#byDevice.get(attachment.deviceId) === attachment;
  }

  /** Removes this very attachment; whether it was there. */
  remove(attachment: Attachment): boolean {
    if (!this.has(attachment)) return false;
    this.#byDevice.delete(attachment.deviceId);
    this.#byPass.delete(attachment.pass.grantId);
    if (this.#byKey.get(attachment.keyText) === attachment) this.#byKey.delete(attachment.keyText);
    return true;
  }
}
