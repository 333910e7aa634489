import { z } from 'zod';
import { unreadable } from '../../dataplane/dataplane-error.ts';

/** How a destination is reached. */
export interface HostRoute {
  readonly interfaceName: string;
  /** From which of its addresses the machine sends; empty where the system does not say. */
  readonly sourceAddress: string;
  /** Where the route itself has a limit, be it set or learnt from the path; undefined: that of the interface. */
  readonly mtuBytes: number | undefined;
}

const routeSchema = z.object({
  dev: z.string().default(''),
  gateway: z.string().default(''),
  prefsrc: z.string().default(''),
  metric: z.number().default(0),
  metrics: z.array(z.object({ mtu: z.number().optional() })).default([]),
});

/**
 * Reads `ip -json route get ADDRESS`; null where it names no route.
 *
 * @throws {DataplaneError} `unreadable-output`
 */
export function parseRouteTo(text: string): HostRoute | null {
  const [route] = parseRoutes(text);
  if (route === undefined || route.dev === '') return null;
  const mtuBytes = route.metrics.find(({ mtu }) => mtu !== undefined)?.mtu;
  return { interfaceName: route.dev, sourceAddress: route.prefsrc, mtuBytes };
}

/**
 * Reads `ip -json -4|-6 route show default`: one text for each route that does not lead into the interface left out.
 *
 * @throws {DataplaneError} `unreadable-output`
 */
export function parseDefaultRoutes(text: string, leftOut: string): string[] {
  return parseRoutes(text)
    .filter(({ dev }) => dev !== leftOut)
    .map(({ dev, gateway, metric }) => `${dev} ${gateway} ${metric}`)
    .toSorted();
}

function parseRoutes(text: string): z.infer<typeof routeSchema>[] {
  try {
    return z.array(routeSchema).parse(text.trim() === '' ? [] : JSON.parse(text));
  } catch (cause) {
    throw unreadable('ip', 'no list of routes in JSON', { cause });
  }
}
