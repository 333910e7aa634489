import {
  type CheckNetworkResponse,
  type GetStatusResponse,
  NexdServiceDefinition,
  type NexdServiceImplementation,
  type Peer,
} from '@nexodus/contracts/nexd';
import { type BoundService, createBinder, notFound } from '@nexodus/rpc';
import type { LocalCaller } from './control-socket.ts';
import { findPeer } from './daemon-status.ts';

/** What the local API shows and does. */
export interface LocalDaemon {
  status(): Promise<GetStatusResponse>;
  peers(): Promise<Peer[]>;
  /** Looks anew at what this machine's place in the network is. */
  checkNetwork(): Promise<CheckNetworkResponse>;
  /** Takes the tunnel down; with `forget` keys and enrolment go too. The daemon ends afterwards. */
  down(forget: boolean): Promise<void>;
}

/** The daemon's API on its unix socket. */
export function createNexdService(daemon: LocalDaemon): BoundService<'local', LocalCaller> {
  const implementation: NexdServiceImplementation = {
    getStatus: () => daemon.status(),
    listPeers: async () => ({ peers: await daemon.peers() }),
    resolvePeer: async ({ name }) => {
      const [peers, { vpcName }] = await Promise.all([daemon.peers(), daemon.status()]);
      const peer = findPeer(peers, vpcName, name);
      if (peer === undefined) throw notFound('peer', name);
      return { peer };
    },
    checkNetwork: () => daemon.checkNetwork(),
    down: async ({ forget }) => {
      await daemon.down(forget);
      return {};
    },
  };
  return createBinder<'local', LocalCaller>('local')(NexdServiceDefinition, implementation);
}
