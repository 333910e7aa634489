import type { Clock } from '@nexodus/clock';
import {
  formatIpPrefix,
  InvalidAddressError,
  parseIpAddress,
  prefixOf,
  unmapIpv4,
} from '@nexodus/netip';
import { RpcError, Status } from '@nexodus/rpc';
import { CallWindows } from '../core/call-windows.ts';

/** Calls without authentication that one source may make in a minute: a rack of machines behind one NAT enrols at once. */
const anonymousPerMinute = 300;

/** Bindings that one device may publish in a minute: each becomes a change that all its peers hear of. */
const bindingsPerMinute = 30;

/** Requests for grants that one device may make in a minute: a hundred peers each, signed one by one. */
const grantRequestsPerMinute = 60;

/** Limits calls on this replica. */
export interface CallLimit {
  /**
   * Counts a call of a caller.
   *
   * @throws {RpcError} RESOURCE_EXHAUSTED with the time to wait
   */
  count(caller: string): void;
  /** Takes the call back, for one that proved who it is. */
  giveBack(caller: string): void;
}

/** Limits calls that carry no identity, by source address: an IPv4 address, or the /64 that one IPv6 host can hold whole. */
export function createAnonymousLimit(clock: Pick<Clock, 'now'>): CallLimit {
  const windows = new CallWindows({ calls: anonymousPerMinute, windowMs: 60_000 });
  return {
    count: (source) => refuseAbove(windows.count(sourceKey(source), clock.now()), 'address'),
    giveBack: (source) => windows.giveBack(sourceKey(source)),
  };
}

/** Limits how often a device publishes its binding, by its id. */
export function createBindingLimit(clock: Pick<Clock, 'now'>): CallLimit {
  return createDeviceLimit(clock, bindingsPerMinute);
}

/** Limits how often a device asks for grants, by its id. */
export function createGrantLimit(clock: Pick<Clock, 'now'>): CallLimit {
  return createDeviceLimit(clock, grantRequestsPerMinute);
}

function createDeviceLimit(clock: Pick<Clock, 'now'>, callsPerMinute: number): CallLimit {
  const windows = new CallWindows({ calls: callsPerMinute, windowMs: 60_000 });
  return {
    count: (deviceId) => refuseAbove(windows.count(deviceId, clock.now()), 'device'),
    giveBack: (deviceId) => windows.giveBack(deviceId),
  };
}

function refuseAbove(retryAfterMs: number | undefined, from: 'address' | 'device'): void {
  if (retryAfterMs === undefined) return;
  throw new RpcError(Status.RESOURCE_EXHAUSTED, `too many requests from this ${from}: slow down`, {
    reason: from === 'address' ? 'SOURCE_RATE_LIMITED' : 'DEVICE_RATE_LIMITED',
    retryAfterMs,
  });
}

/** What of a source counts as one; what is no address, such as a unix socket, is taken as it is. */
function sourceKey(source: string): string {
  try {
    const address = unmapIpv4(parseIpAddress(source));
    return address.family === 4 ? source : formatIpPrefix(prefixOf(address, 64));
  } catch (error) {
    if (error instanceof InvalidAddressError) return source;
    throw error;
  }
}
