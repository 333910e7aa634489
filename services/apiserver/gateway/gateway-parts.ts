import type { Part } from '@nexodus/lifecycle';
import { createGateway, type GatewayOptions } from './gateway.ts';
import { createHttpsFront, type HttpsFrontOptions } from './https-front.ts';

/** The gateway, and what else is served at its address. */
export type GatewayPartsOptions = GatewayOptions & HttpsFrontOptions;

/** The parts that serve the gateway, and the other routes, over HTTPS. Last to start and first to stop. */
export function gatewayParts({ apiUrl, ca, serverName, ...front }: GatewayPartsOptions): Part[] {
  const gateway = createGateway({ apiUrl, ca, serverName });
  const { part } = createHttpsFront({ ...front, routes: [gateway, ...front.routes] });
  const connection: Part = {
    name: 'gateway',
    start: () => Promise.resolve(),
    stop: async () => gateway.close(),
  };
  return [connection, part];
}
