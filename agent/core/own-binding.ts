/** What a device must do about its own signed binding (docs/protocol/binding.md). */

/** The newest binding that the device signed. */
export interface OwnBinding {
  readonly vpcId: string;
  readonly serial: bigint;
  readonly notAfterSeconds: number;
}

/** What the service says it holds. */
export interface PublishedBinding {
  readonly vpcId: string;
  /** 0 for none. */
  readonly serial: bigint;
}

/** Life of a binding: 90 days, the interval at which WireGuard keys are rotated (protocol.md section 1). */
export const BINDING_LIFETIME_SECONDS = 90 * 86_400;

/** A binding is replaced this long before its end, so that a device that sleeps for weeks is not cut off. */
const RENEW_BEFORE_SECONDS = 30 * 86_400;

/**
 * What to do: nothing; publish the one signed last again; or sign a new one with this serial, which is above every
 * serial that the device or the service knows.
 */
export type BindingStep =
  | { readonly kind: 'none' }
  | { readonly kind: 'publish-again' }
  | { readonly kind: 'sign'; readonly serial: bigint };

/** Decides on the binding. */
export function decideBinding(
  own: OwnBinding | undefined,
  published: PublishedBinding,
  nowSeconds: number,
): BindingStep {
  const highest =
    own === undefined || published.serial > own.serial ? published.serial : own.serial;
  const sign: BindingStep = { kind: 'sign', serial: highest + 1n };
  if (own === undefined || own.vpcId !== published.vpcId) return sign;
  if (own.notAfterSeconds - nowSeconds < RENEW_BEFORE_SECONDS) return sign;
  if (published.serial > own.serial) return sign;
  return published.serial < own.serial ? { kind: 'publish-again' } : { kind: 'none' };
}
