/** Images of the change log for tests: short ids, and rules that allow everything unless they say otherwise. */
import { ResourceImage, type SecurityRule } from '@nexodus/contracts/event';

/** What of a device matters here. */
export interface DeviceFacts {
  /** Last part of both addresses; undefined for a device without addresses. */
  host: number | undefined;
  groups: readonly string[];
  isBound?: boolean;
}

/** A device at 10.0.x.x and fd00::x. */
export function device(id: string, { host, groups, isBound = true }: DeviceFacts): ResourceImage {
  const [high, low] = host === undefined ? [0, 0] : [Math.floor(host / 256), host % 256];
  return ResourceImage.fromPartial({
    resource: {
      $case: 'device',
      value: {
        id,
        ipv4Address: host === undefined ? '' : `10.0.${high}.${low}`,
        ipv6Address: host === undefined ? '' : `fd00::${host.toString(16)}`,
        securityGroupIds: [...groups],
        binding: isBound ? { deviceId: id } : undefined,
      },
    },
  });
}

/** A security group. */
export function group(
  id: string,
  rules: { inbound: readonly SecurityRule[]; outbound: readonly SecurityRule[] },
): ResourceImage {
  const value = { id, inbound: [...rules.inbound], outbound: [...rules.outbound] };
  return ResourceImage.fromPartial({ resource: { $case: 'securityGroup', value } });
}

const anyPacket = { protocol: 0, firstPort: 0, lastPort: 0 };

/** Any packet from or to members of a group. */
export function fromGroup(id: string): SecurityRule {
  return { ...anyPacket, peer: { $case: 'securityGroupId', value: id } };
}

/** Any packet from or to a device. */
export function fromDevice(id: string): SecurityRule {
  return { ...anyPacket, peer: { $case: 'deviceId', value: id } };
}

/** Any packet from or to addresses. */
export function fromAddresses(range: string): SecurityRule {
  return { ...anyPacket, peer: { $case: 'addressRange', value: range } };
}

/** Any packet from or to anywhere. */
export const anywhere: readonly SecurityRule[] = [
  fromAddresses('0.0.0.0/0'),
  fromAddresses('::/0'),
];
