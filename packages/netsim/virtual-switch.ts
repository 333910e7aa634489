import { addressAt, FIRST_HOST_OFFSET, GATEWAY_OFFSET, parsePrefix } from './address-plan.ts';
import type { Prefix } from './address-plan.ts';

/** The prefixes of a switch; a family without a prefix does not exist on it. */
export type SwitchOptions = {
  readonly ipv4?: string;
  readonly ipv6?: string;
};

/** An address with the length of its prefix, as `ip address add` takes it. */
export type AssignedAddress = {
  readonly address: string;
  readonly prefixLength: number;
};

/** A layer 2 segment that any number of hosts can be attached to. */
export interface VirtualSwitch {
  readonly name: string;
  /** The first usable IPv4 address: default route of the hosts; taken by the attachment that is the gateway, if any. */
  readonly ipv4Gateway: string | undefined;
  /** As `ipv4Gateway`, for IPv6. */
  readonly ipv6Gateway: string | undefined;
}

/** A switch as the network that made it knows it. */
export type ManagedSwitch = VirtualSwitch & {
  readonly bridge: string;
  /** The next free address pair, or the gateway's. */
  assign(isGateway: boolean): {
    readonly ipv4: AssignedAddress | undefined;
    readonly ipv6: AssignedAddress | undefined;
  };
};

/** Plans a switch; its bridge is made by the network. */
export function planSwitch(name: string, options: SwitchOptions): ManagedSwitch {
  const ipv4 = options.ipv4 === undefined ? undefined : parsePrefix(options.ipv4);
  const ipv6 = options.ipv6 === undefined ? undefined : parsePrefix(options.ipv6);
  if (ipv4?.bits === 128 || ipv6?.bits === 32)
    throw new RangeError(`switch ${name}: a prefix is of the other family`);
  let nextOffset = FIRST_HOST_OFFSET;
  const at = (prefix: Prefix | undefined, offset: bigint): AssignedAddress | undefined =>
    prefix && { address: addressAt(prefix, offset), prefixLength: prefix.length };
  return {
    name,
    bridge: `br-${name}`,
    ipv4Gateway: at(ipv4, GATEWAY_OFFSET)?.address,
    ipv6Gateway: at(ipv6, GATEWAY_OFFSET)?.address,
    assign(isGateway) {
      const offset = isGateway ? GATEWAY_OFFSET : nextOffset;
      if (!isGateway) nextOffset += 1n;
      return { ipv4: at(ipv4, offset), ipv6: at(ipv6, offset) };
    },
  };
}
