/**
 * What tests of several workspaces build a device's data plane from, and the contract of its tunnel. `nexd` composes the
 * same parts.
 */
export {
  createCommandRunner,
  createDataplane,
  createSystemPorts,
  planDevice,
} from './dataplane/index.ts';
export type { Dataplane, ShownPeer } from './dataplane/index.ts';
export { judgeWireguardGoVersion } from './dataplane/core/wireguard-go-version.ts';
export {
  advise,
  checkNetwork,
  createIprouteHostView,
  drawNetwork,
  natName,
  readPlaces,
} from './netcheck/index.ts';
export { openPortSocket, RelayPaths } from './relay/index.ts';
export type { RelayDemand, RelayPeer } from './relay/index.ts';
export { generateDeviceKeys } from './state/device-keys.ts';
export { DIRECT } from './service-access/proxy-settings.ts';
export { tunnelContract } from './dataplane/tunnel.contract.ts';
export { createPeerLinks } from './relay/peer-links.ts';
