/**
 * Why an address text or value was refused. `not-an-address`; `zone`: an IPv6 zone, which means
 * something on one machine only; `not-a-prefix`: no "address/length"; `host-bits`: a prefix with
 * bits set behind its length; `not-a-range`: no "first-last" of one family in order;
 * `out-of-range`: a value, length or index that the family or prefix does not have.
 */
export type InvalidAddressReason =
  | 'not-an-address'
  | 'zone'
  | 'not-a-prefix'
  | 'host-bits'
  | 'not-a-range'
  | 'out-of-range';

/** The only error this package throws. Its message is fit to show to who typed the address. */
export class InvalidAddressError extends Error {
  readonly reason: InvalidAddressReason;

  constructor(reason: InvalidAddressReason, message: string) {
    super(message);
    this.name = 'InvalidAddressError';
    this.reason = reason;
  }
}
