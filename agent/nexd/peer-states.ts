import type { PeerState } from '@nexodus/contracts/agent';
import type { Endpoint } from '@nexodus/contracts/type';
import type { DeviceModel, PeerSoftState } from '../core/device-model.ts';

/** What is told of peers beside their entries: whether they are online, and where they may be reached. */
export interface PeerStates {
  /** By device id. */
  readonly all: ReadonlyMap<string, PeerSoftState>;
  tell(states: readonly PeerState[]): void;
  /** Drops the states of those whom the model does not show, where there are many. */
  forgetInvisible(model: DeviceModel): void;
  /** Endpoints to keep on disk, by device id. */
  endpoints(): ReadonlyMap<string, readonly Endpoint[]>;
}

/** Soft state may come before the entry of its peer: besides twice the visible ones, so many wait for it. */
const WAITING = 64;

/** Begins with the endpoints that were kept; nobody is known to be online. */
export function createPeerStates(kept: ReadonlyMap<string, readonly Endpoint[]>): PeerStates {
  const all = new Map<string, PeerSoftState>(
    [...kept].map(([deviceId, endpoints]) => [deviceId, { isOnline: false, endpoints }]),
  );
  return {
    all,
    tell: (states) => {
      for (const { deviceId, online, ...whereabouts } of states) {
        all.set(deviceId, { isOnline: online, ...whereabouts });
      }
    },
    forgetInvisible: ({ accepted, refused }) => {
      const visible = new Set([...accepted, ...refused].map(({ deviceId }) => deviceId));
      for (const deviceId of all.keys()) {
        if (all.size <= 2 * visible.size + WAITING) return;
        if (!visible.has(deviceId)) all.delete(deviceId);
      }
    },
    endpoints: () => new Map([...all].map(([deviceId, { endpoints }]) => [deviceId, endpoints])),
  };
}
