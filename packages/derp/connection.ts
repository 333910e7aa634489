/** What moves bytes: the protocol itself is in index.ts, and calculates only. */
export { openDerpClient } from './derp-client.ts';
export type { DerpClient, DerpClientHandlers, DerpClientOptions } from './derp-client.ts';
export { DerpConnectionError } from './derp-connection-error.ts';
export type { DerpConnectionReason } from './derp-connection-error.ts';
export { FrameWriter } from './frame-writer.ts';
export { DERP_PATH, DERP_UPGRADE, channelBindingOf, requestDerpUpgrade } from './http-upgrade.ts';
