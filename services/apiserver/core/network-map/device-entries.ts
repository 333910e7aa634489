import type { ViewEntry } from '@nexodus/contracts/agent';
import type { DeviceImage, VpcImage } from '@nexodus/contracts/event';
import { encodePeerEntry, encodeSelfEntry, ViewDigest } from '@nexodus/network-map';

/** A device with its entries, encoded once for whoever sees them. */
export interface DeviceEntries {
  readonly image: DeviceImage;
  /** What the device sees of itself. */
  readonly self: ViewEntry;
  /** What its peers see of it; undefined until it published a binding. */
  readonly peer: ViewEntry | undefined;
  /** Of `self`, so that the digest of a view is a sum and costs no hash. */
  readonly selfDigest: ViewDigest;
  /** Of `peer`. */
  readonly peerDigest: ViewDigest;
}

/** Encodes the entries of a device. */
export function encodeDevice(image: DeviceImage, vpc: VpcImage): DeviceEntries {
  const { id, hostname, binding, ipv4Address, ipv6Address, devicePublicKey } = image;
  const self = encodeSelfEntry({
    deviceId: id,
    vpcId: vpc.id,
    vpcName: vpc.name,
    organizationId: vpc.organizationId,
    hostname,
    ipv4Address,
    ipv6Address,
    expireTimeSeconds: image.expireTimeSeconds,
    bindingSerial: binding?.serial ?? 0n,
  });
  const peer =
    binding === undefined
      ? undefined
      : encodePeerEntry({
          deviceId: id,
          hostname,
          devicePublicKey,
          binding,
          ipv4Address,
          ipv6Address,
        });
  return { image, self, peer, selfDigest: digestOf(self), peerDigest: digestOf(peer) };
}

/** Whether both give the same view, where undefined is the absence of an entry. */
export function isSameEntry(left: ViewEntry | undefined, right: ViewEntry | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left === right || Buffer.compare(left.value, right.value) === 0;
}

function digestOf(entry: ViewEntry | undefined): ViewDigest {
  return entry === undefined ? ViewDigest.empty : ViewDigest.of([[entry.key, entry.value]]);
}
