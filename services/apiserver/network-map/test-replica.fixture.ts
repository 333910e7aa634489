import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@nexodus/clock';
import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import { ChangeServiceDefinition } from '@nexodus/contracts/event';
import type { Database } from '@nexodus/database';
import { type Part, startParts } from '@nexodus/lifecycle';
import type { MessageBus, SoftStateStore } from '@nexodus/messaging';
import {
  createBinder,
  createRpcClient,
  openChannel,
  RpcError,
  type RpcClient,
  type RunningRpcServer,
  type ServiceIdentity,
  startRpcServer,
  Status,
  unauthenticated,
} from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import type { ChangeLog } from '../database/change-log.ts';
import { bindPublic, type Caller } from '../identity/caller.ts';
import { createNetworkMap, type NetworkMap, type NetworkMapSettings } from './network-map.ts';
import { TestPolicy } from './test-policy.fixture.ts';

/** What a replica shares with others, or has of its own. */
export interface TestReplicaOptions {
  database: Database;
  changeLog: ChangeLog;
  bus: MessageBus;
  softState: SoftStateStore;
  settings?: NetworkMapSettings;
}

/** One apiserver as far as the network map goes, behind real gRPC on unix sockets, with a policy of its own. */
export interface TestReplica {
  networkMap: NetworkMap;
  policy: TestPolicy;
  agents: RpcClient<typeof AgentServiceDefinition>;
  /** Path of the socket that `agents` calls. */
  publicSocket: string;
  stop(): Promise<void>;
}

const refused = (): never => {
  throw new RpcError(Status.UNIMPLEMENTED, 'not part of this test');
};

export async function startTestReplica(options: TestReplicaOptions): Promise<TestReplica> {
  const directory = await mkdtemp(join(tmpdir(), 'nexodus-map-'));
  const address = (name: string): string => `unix:${join(directory, name)}`;
  const networkMap = createNetworkMap({
    ...options,
    policy: { compile: (...call) => policy.compile(...call) },
    clock: systemClock,
    logger: silentLogger,
    reachability: () => ({ relays: [], stunServers: [] }),
    random: Math.random,
    settings: { heartbeatMs: 300, notesMs: 100, ...options.settings },
  });
  const agentService = bindPublic(AgentServiceDefinition, {
    beginEnroll: refused,
    enroll: refused,
    authenticate: refused,
    publishBinding: refused,
    issueRelayGrants: refused,
    connect: networkMap.connect,
  });
  const publicServer = serverPart(() =>
    startRpcServer({
      surface: 'public',
      address: address('public'),
      services: [agentService],
      authenticate: ({ context }) => authenticate(options.database, context.metadata.get('device')),
    }),
  );
  const bindInternal = createBinder<'internal', ServiceIdentity>('internal');
  const internalServer = serverPart(() =>
    startRpcServer({
      surface: 'internal',
      address: address('internal'),
      services: [bindInternal(ChangeServiceDefinition, networkMap.changeService)],
      authenticate: () => Promise.resolve({ service: 'policy' }),
    }),
  );
  const running = await startParts([
    internalServer,
    ...networkMap.parts,
    publicServer,
    networkMap.drainPart,
  ]);
  const internalChannel = openChannel({ address: address('internal') });
  const publicChannel = openChannel({ address: address('public') });
  const policy = new TestPolicy(createRpcClient(ChangeServiceDefinition, internalChannel));
  return {
    networkMap,
    policy,
    agents: createRpcClient(AgentServiceDefinition, publicChannel),
    publicSocket: join(directory, 'public'),
    stop: async () => {
      await policy.stop();
      await running.stop();
      internalChannel.close();
      publicChannel.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function serverPart(start: () => Promise<RunningRpcServer>): Part {
  let server: RunningRpcServer | undefined;
  return {
    name: 'server',
    start: async () => {
      server = await start();
    },
    stop: async () => server?.stop(),
  };
}

/** Takes the device's word for who it is, and finds its VPC as authentication does. */
async function authenticate(database: Database, id: string | undefined): Promise<Caller> {
  const device = await database.knex('devices').where({ id }).first('vpc_id', 'organization_id');
  if (id === undefined || device === undefined) {
    throw unauthenticated('DEVICE_DELETED', 'this device was deleted');
  }
  const { vpc_id: vpcId, organization_id: organizationId } = device;
  return { kind: 'device', id, vpcId, organizationId, source: 'test' };
}
