import type { Flow } from './flow-elements.ts';

/** What the kernel carried in one direction since the flow was programmed. */
export interface DirectionCount {
  /** Datagrams as they arrived (an aggregate counts as one), and their bytes with IP and UDP headers. */
  readonly arrived: { readonly packets: number; readonly bytes: number };
  /** Of those, what was routed and is on its way out. */
  readonly departed: { readonly packets: number };
}

/** The kernel's part of a lane: it knows locked sources, and carries the data of the sessions it is told to. */
export interface KernelOffload {
  /** By family, why its data cannot be carried here; undefined where it can. */
  readonly reasons: { readonly ipv4: string | undefined; readonly ipv6: string | undefined };
  /**
   * Makes a session what `flow` says, in one transaction that holds when this returns; undefined removes it. False where
   * the kernel refuses: then it knows nothing of the session.
   */
  update(sessionId: bigint, flow: Flow | undefined): boolean;
  /** What it carried of an offloaded session, by side of arrival; undefined where it does not know. */
  counters(flow: Flow): readonly [DirectionCount, DirectionCount] | undefined;
  /** Ports from which it could not send on, because a path of IPv6 is too narrow. */
  narrowPorts(): number[];
}
