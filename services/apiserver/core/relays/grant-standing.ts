import type { DeviceImage } from '@nexodus/contracts/event';
import type { GrantPayload, GrantedDevice } from '@nexodus/contracts/relay';

/** What of a VPC's views says whether a grant holds. */
export interface GrantViews {
  readonly revision: bigint;
  /** A device that views may show; undefined for one that is deleted, expired, or has no binding. */
  shownImage(deviceId: string): DeviceImage | undefined;
  sees(viewerId: string, peerId: string): boolean;
}

/** Whether a grant holds: `unknown` while the views are older than what it was given by. */
export type GrantStanding = 'holds' | 'revoked' | 'unknown';

/** Where a grant stands: its devices are there with the same keys, and policy lets two of them see each other. */
export function standingOf(grant: GrantPayload, views: GrantViews | undefined): GrantStanding {
  if (views === undefined || views.revision < grant.policyRevision) return 'unknown';
  const [first, second] = grant.devices;
  if (first === undefined || !grant.devices.every((device) => isSame(device, views)))
    return 'revoked';
  if (second === undefined || views.sees(first.deviceId, second.deviceId)) return 'holds';
  return 'revoked';
}

/** A device as grants name it; undefined for one that may use no relay. */
export function grantedDevice(deviceId: string, views: GrantViews): GrantedDevice | undefined {
  const image = views.shownImage(deviceId);
  if (image?.binding === undefined) return undefined;
  const { binding, devicePublicKey } = image;
  return { deviceId, devicePublicKey, wireguardPublicKey: binding.wireguardPublicKey };
}

function isSame(granted: GrantedDevice, views: GrantViews): boolean {
  const now = grantedDevice(granted.deviceId, views);
  return (
    now !== undefined &&
    Buffer.compare(now.devicePublicKey, granted.devicePublicKey) === 0 &&
    Buffer.compare(now.wireguardPublicKey, granted.wireguardPublicKey) === 0
  );
}
