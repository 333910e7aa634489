// @ts-check
/** What the set-up says to a person: on stderr, one line a step, so that stdout belongs to the program that follows. */

/** A set-up that cannot go on: `message` names the cause, `remedy` what the person can do. */
export class SetupError extends Error {
  /**
   * @param {string} message
   * @param {string} remedy
   */
  constructor(message, remedy) {
    super(message);
    this.name = 'SetupError';
    this.remedy = remedy;
  }
}

/** @param {string} line */
export function progress(line) {
  process.stderr.write(`setup: ${line}\n`);
}

/**
 * Prints the error as a person should see it: cause and remedy for the expected ones, the whole stack for a defect.
 *
 * @param {unknown} error
 */
export function printFailure(error) {
  if (error instanceof SetupError) progress(`${error.message}. ${error.remedy}`);
  else process.stderr.write(`setup: ${error instanceof Error ? error.stack : String(error)}\n`);
}
