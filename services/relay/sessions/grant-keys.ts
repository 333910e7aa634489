import type { Clock } from '@nexodus/clock';
import type { GrantServiceDefinition, SignedGrant } from '@nexodus/contracts/relay';
import {
  type Ed25519PublicKey,
  InvalidSigningKeyError,
  parseEd25519PublicKey,
} from '@nexodus/device-identity';
import { type GrantVerdict, verifyGrant } from '@nexodus/relay-grant';
import type { RpcClient } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';

/** Least time between two questions for keys: a stranger's key id must not become load on the apiserver. */
const ASK_INTERVAL_MS = 2_000;

/** What the keys need. */
export interface GrantKeysOptions {
  readonly relayId: string;
  readonly grants: Pick<RpcClient<typeof GrantServiceDefinition>, 'listGrantKeys'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The control plane's keys, and the check of grants by them. */
export class GrantKeys {
  readonly #options: GrantKeysOptions;
  #keys: ReadonlyMap<string, Ed25519PublicKey<'relay-grant'>> = new Map();
  #asking: Promise<void> | undefined;
  #askedAtMs = -Infinity;

  constructor(options: GrantKeysOptions) {
    this.#options = options;
  }

  /** Checks a grant; asks for the keys once more where one is not known. */
  async verify(signed: SignedGrant, devices: 1 | 2): Promise<GrantVerdict> {
    if (!this.#keys.has(signed.keyId)) await this.#ask();
    const { clock, relayId } = this.#options;
    return verifyGrant(signed, { relayId, keys: this.#keys, devices, nowMs: clock.now() });
  }

  #ask(): Promise<void> {
    const { clock } = this.#options;
    if (this.#asking !== undefined) return this.#asking;
    if (clock.monotonicMs() - this.#askedAtMs < ASK_INTERVAL_MS) return Promise.resolve();
    this.#askedAtMs = clock.monotonicMs();
    this.#asking = this.#read().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #read(): Promise<void> {
    try {
      const { keys } = await this.#options.grants.listGrantKeys({});
      const read = keys.map(
        ({ keyId, publicKey }) => [keyId, parseEd25519PublicKey(publicKey, 'relay-grant')] as const,
      );
      this.#keys = new Map(read);
    } catch (error) {
      const what = error instanceof InvalidSigningKeyError ? 'understood' : 'asked for';
      this.#options.logger.warn({ error }, `the keys of grants could not be ${what}`);
    }
  }
}
