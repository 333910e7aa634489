import type { ResourceImage } from '@nexodus/contracts/event';

/** What becomes of one resource: its image, or nothing where it is deleted. */
export interface ResourceUpdate {
  readonly kind: 'device' | 'securityGroup';
  readonly id: string;
  /** Absent for a resource that is no more. */
  readonly image?: ResourceImage;
}

/** The update that an image stands for; undefined for resources on which visibility does not depend. */
export function updateOf(image: ResourceImage): ResourceUpdate | undefined {
  const { resource } = image;
  if (resource?.$case !== 'device' && resource?.$case !== 'securityGroup') return undefined;
  return { kind: resource.$case, id: resource.value.id, image };
}

/** The name of the resource among all of a VPC. */
export function keyOf({ kind, id }: ResourceUpdate): string {
  return `${kind} ${id}`;
}

/** All that visibility depends on, as text; undefined for a resource that is no more. */
export function factsOf({ image }: ResourceUpdate): string | undefined {
  const resource = image?.resource;
  if (resource?.$case === 'device') {
    const { binding, ipv4Address, ipv6Address, securityGroupIds } = resource.value;
    return JSON.stringify([
      binding !== undefined,
      ipv4Address,
      ipv6Address,
      securityGroupIds.toSorted(),
    ]);
  }
  if (resource?.$case === 'securityGroup') {
    return JSON.stringify([resource.value.inbound, resource.value.outbound]);
  }
  return undefined;
}
