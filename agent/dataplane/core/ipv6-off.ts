import { isIpv6Cidr } from './cidr.ts';
import type { DevicePlan } from './device-plan.ts';

/** The plan of a machine that holds no IPv6 addresses: without those and the routes that need them, otherwise the same. */
export function withoutIpv6(plan: DevicePlan): DevicePlan {
  const keep = (cidr: string) => !isIpv6Cidr(cidr);
  return { ...plan, addresses: plan.addresses.filter(keep), routes: plan.routes.filter(keep) };
}
