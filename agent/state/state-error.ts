/**
 * What is wrong with the state directory: `disk-full`; `damaged` a file does not hold what nexd wrote; `in-use` by
 * another nexd; `inaccessible` it cannot be read, written or made.
 */
export type StateFault = 'disk-full' | 'damaged' | 'in-use' | 'inaccessible';

/** The only error of the state store. `message` names the file, `remedy` says what to do; neither holds a secret. */
export class StateError extends Error {
  override readonly name = 'StateError';
  readonly fault: StateFault;
  readonly remedy: string;

  constructor(fault: StateFault, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
    this.remedy = remedy;
  }
}
