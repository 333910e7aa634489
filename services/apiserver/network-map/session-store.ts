/** What a session leaves in the database now and then. */
export interface SessionNote {
  readonly deviceId: string;
  /** Epoch of the session; what any but the device's newest session applied is ignored. */
  readonly epoch: bigint;
  /** Revision that the device applied last; undefined when it said none. */
  readonly appliedRevision: bigint | undefined;
  /** When it was heard last, in milliseconds since 1970. */
  readonly seenAtMs: number;
}

/** How a session begins. */
export type SessionStart =
  | { readonly outcome: 'begun'; readonly epoch: bigint }
  | { readonly outcome: 'deleted' }
  | { readonly outcome: 'expired' };

/** The sessions of devices, in what all replicas share. */
export interface SessionStore {
  /**
   * Begins a session of a device that exists in the VPC and has not expired. Its epoch is above that of every session
   * before, whichever replica had it.
   */
  begin(device: { vpcId: string; deviceId: string }, nowMs: number): Promise<SessionStart>;
  /** Keeps the notes, at most one for each device. */
  note(notes: readonly SessionNote[]): Promise<void>;
}
