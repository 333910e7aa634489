import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@nexodus/clock';
import { SessionServiceDefinition } from '@nexodus/contracts/relay-session';
import type { Part } from '@nexodus/lifecycle';
import { createBinder, type RunningRpcServer, startRpcServer } from '@nexodus/rpc';
import { explainFault, logCalls } from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import { createSessionService, type SessionServiceOptions } from './session-service.ts';

/** What the server needs. */
export type GrpcSocketOptions = Pick<SessionServiceOptions, 'hub' | 'relayId' | 'verify'> & {
  readonly clock: Clock;
  readonly logger: Logger;
};

/** A gRPC server behind the public listener. */
export interface GrpcSocket {
  readonly part: Part;
  /** Path of its unix socket, once it has started. */
  path(): string;
}

const HEARTBEAT_MS = 5_000;
const SILENCE_MS = 30_000;

/** A device has one stream; another may not be over yet, and somebody may ask for health. */
const CONNECTION_LIMITS = { streams: 4, idleMs: 10_000 };

/** Serves SessionService on a unix socket in a folder that only this user enters. Devices prove themselves in the stream. */
export function createGrpcSocket(options: GrpcSocketOptions): GrpcSocket {
  const { logger } = options;
  const bind = createBinder<'public', null>('public');
  const settings = { ...options, heartbeatMs: HEARTBEAT_MS, silenceMs: SILENCE_MS };
  let folder = '';
  let server: RunningRpcServer | undefined;
  const path = (): string => join(folder, 'sessions.sock');
  const part: Part = {
    name: 'session service',
    start: async () => {
      folder = await mkdtemp(join(tmpdir(), 'nexodus-relay-'));
      server = await startRpcServer({
        surface: 'public',
        address: `unix:${path()}`,
        services: [bind(SessionServiceDefinition, createSessionService(settings))],
        connectionLimits: CONNECTION_LIMITS,
        authenticate: async () => null,
        onCall: logCalls(logger),
        explainFault,
      });
    },
    stop: async () => {
      await server?.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return { part, path };
}
