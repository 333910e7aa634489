/** What may become of a datagram. A number, for it is told and counted for each one. */
export const VERDICTS = {
  /** Answered with success. */
  answered: 0,
  /** Answered with an error. */
  refused: 1,
  /** A request over the rate of its source, not answered. */
  limited: 2,
  /** Not answered: it came from an address or port at which a forged source would do harm. */
  badSource: 3,
  /** Not answered: it is no STUN. */
  notStun: 4,
  /** Not answered: it is broken STUN. */
  malformed: 5,
  /** Not answered: an answer or an indication. */
  notARequest: 6,
  /** Not answered: a request for something else than Binding. */
  otherMethod: 7,
} as const;

/** One of {@link VERDICTS}. */
export type Verdict = (typeof VERDICTS)[keyof typeof VERDICTS];
