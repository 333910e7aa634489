import type { IpInterface } from '../dataplane/core/ip-output.ts';
import type { HostRoute } from './core/route-output.ts';

/** What a machine's network looks like from outside of its tunnel. Everything thrown is a DataplaneError. */
export interface HostView {
  /** All interfaces with their addresses. */
  interfaces(): Promise<readonly IpInterface[]>;
  /** One text for each default route of either family that does not lead into the tunnel. */
  defaultRoutes(): Promise<readonly string[]>;
  /** How an address is reached; null: not at all. */
  routeTo(address: string): Promise<HostRoute | null>;
}
