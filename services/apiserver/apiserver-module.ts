import { randomBytes } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import {
  DeviceServiceDefinition,
  OrganizationServiceDefinition,
  RegistrationKeyServiceDefinition,
  ServiceAccountServiceDefinition,
  ServiceInfoServiceDefinition,
  TokenServiceDefinition,
  UserServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { ChangeServiceDefinition } from '@nexodus/contracts/event';
import type { PolicyServiceDefinition } from '@nexodus/contracts/policy';
import { GrantServiceDefinition } from '@nexodus/contracts/relay';
import type { Database } from '@nexodus/database';
import { deriveServiceKeys } from '@nexodus/device-identity';
import type { Part } from '@nexodus/lifecycle';
import type { MessageBus, SoftStateStore } from '@nexodus/messaging';
import {
  type BoundService,
  createBinder,
  type RpcClient,
  type RunningRpcServer,
  type ServerTls,
  type ServiceIdentity,
  startRpcServer,
} from '@nexodus/rpc';
import {
  explainFault,
  logCalls,
  type ServiceModule,
  serviceVersion,
} from '@nexodus/service-process';
import type { Logger } from '@nexodus/telemetry';
import { type Bootstrap, createBootstrap } from './bootstrap.ts';
import { createChangeLog } from './database/change-log.ts';
import { initialSchema } from './database/initial-schema.ts';
import { createAgentService } from './enrolment/agent-service.ts';
import {
  createAnonymousLimit,
  createBindingLimit,
  createGrantLimit,
} from './identity/call-limit.ts';
import { createAuditLog } from './identity/audit-log.ts';
import { createAuthentication } from './identity/authenticate-caller.ts';
import { createAuthorizer } from './identity/authorizer.ts';
import { bindPublic, type Caller } from './identity/caller.ts';
import { createOidcVerifier, type TrustedIssuer } from './identity/oidc-verifier.ts';
import { createTokenExchange } from './identity/token-exchange.ts';
import { createServiceInfoService, createTokenService } from './identity/token-service.ts';
import { createHousekeeping, expiryChores } from './database/housekeeping.ts';
import { createUsedTokens, type UsedTokens } from './identity/used-tokens.ts';
import { createUserDirectory } from './identity/user-directory.ts';
import type { IpamClient } from './ipam/ipam-orders.ts';
import { createIpamOutbox } from './ipam/ipam-outbox.ts';
import { createNetworkMap, type NetworkMap } from './network-map/network-map.ts';
import { createGrantService } from './relays/grant-service.ts';
import { issueGrants } from './relays/issue-grants.ts';
import {
  createReachabilityDirectory,
  type ReachabilityDirectory,
} from './relays/reachability-directory.ts';
import type { ResourceDependencies } from './resources/dependencies.ts';
import { createEphemeralDevices } from './resources/ephemeral-devices.ts';
import { createDeviceService } from './resources/device-service.ts';
import { createOrganizationService } from './resources/organization-service.ts';
import { createRegistrationKeyService } from './resources/registration-key-service.ts';
import { createServiceAccountService } from './resources/service-account-service.ts';
import { createUserService } from './resources/user-service.ts';
import { createVpcService } from './resources/vpc-service.ts';

/** What the apiserver is made of. Who opened the database, the bus and the clients closes them after the module stopped. */
export interface ApiserverModuleOptions {
  database: Database;
  bus: MessageBus;
  softState: SoftStateStore;
  ipam: IpamClient;
  policy: RpcClient<typeof PolicyServiceDefinition>;
  clock: Clock;
  logger: Logger;
  /** 32 bytes, the same for all replicas. */
  rootSecret: Uint8Array;
  issuers: readonly TrustedIssuer[];
  /** Audiences that the service is known by (`audienceOf`); the first is the one to tell people. */
  audiences: readonly string[];
  consoleUrl: string;
  /** Where the public API listens. */
  publicListen: { address: string; tls: ServerTls };
  /** How long a device may use its last view without the service, in seconds. */
  leaseSeconds: number;
}

/** The apiserver with what a first start needs. */
export interface ApiserverModule extends ServiceModule {
  /** Makes the organization, owner and service account of a first start; for use once the parts have started. */
  readonly bootstrap: Bootstrap;
  /** Port of the public API once the parts have started. */
  publicPort(): number;
}

/** Builds the apiserver. Any number of replicas may share a schema. */
export function createApiserverModule(options: ApiserverModuleOptions): ApiserverModule {
  const { database, clock, logger } = options;
  const usedTokens = createUsedTokens(database, clock);
  const { resources, networkMap, reachability } = createResources(options);
  const { relayGrantKey } = deriveServiceKeys(options.rootSecret);
  const stopping = new AbortController();
  const publicServer = createPublicServer(options, { resources, networkMap, usedTokens });
  const ephemeral = createEphemeralDevices({
    ...resources,
    presence: networkMap,
    bus: options.bus,
  });
  const chores = [
    { name: 'used tokens', run: () => usedTokens.forget() },
    { name: 'ephemeral devices', run: () => ephemeral.removeDue() },
    ...expiryChores(database),
  ];
  const bindInternal = createBinder<'internal', ServiceIdentity>('internal');
  const schema: Part = {
    name: 'apiserver schema',
    start: async () => void (await database.migrate([initialSchema])),
    stop: () => Promise.resolve(),
  };
  return {
    name: 'apiserver',
    parts: [
      schema,
      createHousekeeping(chores, { clock, logger }),
      resources.ipamOutbox.part,
      ...networkMap.parts,
      reachability.part,
      endingPart(stopping),
      publicServer.part,
      networkMap.drainPart,
    ],
    internalServices: [
      bindInternal(ChangeServiceDefinition, networkMap.changeService),
      bindInternal(
        GrantServiceDefinition,
        createGrantService({
          followVpc: networkMap.followVpc,
          publicKey: relayGrantKey.publicKey,
          clock,
          stopping: stopping.signal,
        }),
      ),
    ],
    internalCallers: {
      [`/${ChangeServiceDefinition.fullName}/*`]: ['policy'],
      [`/${GrantServiceDefinition.fullName}/*`]: ['relay'],
    },
    checkReady: async () => {
      if (!(await database.healthy())) throw new Error('the database does not answer');
    },
    bootstrap: createBootstrap(resources),
    publicPort: publicServer.port,
  };
}

function createResources(options: ApiserverModuleOptions): {
  resources: ResourceDependencies;
  networkMap: NetworkMap;
  reachability: ReachabilityDirectory;
} {
  const { database, bus, clock, ipam, logger, policy, softState, leaseSeconds } = options;
  const audit = createAuditLog(database);
  const changeLog = createChangeLog(database, bus);
  const reachability = createReachabilityDirectory({
    bus,
    clock,
    logger,
    changed: () => networkMap.reachabilityChanged(),
  });
  const networkMap = createNetworkMap({
    database,
    changeLog,
    policy,
    bus,
    softState,
    clock,
    logger,
    reachability: () => reachability.map(),
    random: Math.random,
    settings: { leaseSeconds },
  });
  const resources: ResourceDependencies = {
    database,
    changeLog,
    authorizer: createAuthorizer(policy, audit),
    audit,
    ipamOutbox: createIpamOutbox({ database, ipam, clock, logger }),
    clock,
    randomBytes,
  };
  return { resources, networkMap, reachability };
}

/** Ends the streams of relays. */
function endingPart(stopping: AbortController): Part {
  return {
    name: 'grant service',
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(stopping.abort()),
  };
}

interface PublicParts {
  resources: ResourceDependencies;
  networkMap: NetworkMap;
  usedTokens: UsedTokens;
}

function createPublicServer(
  options: ApiserverModuleOptions,
  parts: PublicParts,
): { part: Part; port: () => number } {
  const { audiences, clock, database, issuers, logger, publicListen } = options;
  const { tokenSigningKey } = deriveServiceKeys(options.rootSecret);
  const authenticate = createAuthentication({
    database,
    clock,
    audit: parts.resources.audit,
    oidc: createOidcVerifier(issuers, logger),
    users: createUserDirectory(parts.resources),
    usedTokens: parts.usedTokens,
    tokenKey: tokenSigningKey.publicKey,
    audiences,
  });
  let server: RunningRpcServer | undefined;
  const part: Part = {
    name: 'public API',
    start: async () => {
      server = await startRpcServer({
        surface: 'public',
        ...publicListen,
        services: publicServices(options, parts),
        authenticate,
        onCall: logCalls(logger),
        explainFault,
      });
    },
    stop: async () => server?.stop(),
  };
  return { part, port: () => server?.port ?? 0 };
}

function publicServices(
  options: ApiserverModuleOptions,
  { resources, networkMap, usedTokens }: PublicParts,
): BoundService<'public', Caller>[] {
  const { audiences, clock, consoleUrl, database, ipam, issuers } = options;
  const keys = deriveServiceKeys(options.rootSecret);
  const { tokenSigningKey: tokenKey, cookieKey } = keys;
  const tokenExchange = createTokenExchange({ clock, usedTokens, tokenKey, audiences });
  const anonymousLimit = createAnonymousLimit(clock);
  const agent = createAgentService({
    ...resources,
    ipam,
    cookieKey,
    usedTokens,
    tokenExchange,
    audiences,
    anonymousLimit,
    bindingLimit: createBindingLimit(clock),
    grantLimit: createGrantLimit(clock),
    issueGrants: (device, request) => {
      const { followVpc } = networkMap;
      const { leaseSeconds } = options;
      return issueGrants(
        { followVpc, key: keys.relayGrantKey, clock, leaseSeconds },
        device,
        request,
      );
    },
    connect: networkMap.connect,
  });
  const info = createServiceInfoService({
    clock,
    version: serviceVersion,
    audiences,
    issuers,
    consoleUrl,
  });
  return [
    bindPublic(AgentServiceDefinition, agent),
    bindPublic(ServiceInfoServiceDefinition, info),
    bindPublic(
      TokenServiceDefinition,
      createTokenService({ database, tokenExchange, anonymousLimit }),
    ),
    bindPublic(UserServiceDefinition, createUserService(database)),
    bindPublic(OrganizationServiceDefinition, createOrganizationService(resources)),
    bindPublic(VpcServiceDefinition, createVpcService(resources)),
    bindPublic(
      DeviceServiceDefinition,
      createDeviceService({ ...resources, presence: networkMap }),
    ),
    bindPublic(RegistrationKeyServiceDefinition, createRegistrationKeyService(resources)),
    bindPublic(ServiceAccountServiceDefinition, createServiceAccountService(resources)),
  ];
}
