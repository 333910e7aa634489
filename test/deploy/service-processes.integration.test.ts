import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import { ServiceInfoServiceDefinition } from '@nexodus/contracts/api';
import { IpamServiceDefinition } from '@nexodus/contracts/ipam';
import { RelayServiceDefinition } from '@nexodus/contracts/relay';
import { openDatabase } from '@nexodus/database';
import { createNatsMessageBus, openNats } from '@nexodus/messaging';
import { createRpcClient, openChannel, Status } from '@nexodus/rpc';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repository } from './deploy-file.ts';
import { identityOf, type ServiceProcesses, startServiceProcesses } from './service-processes.ts';
import { type ServiceName, serviceNames } from './service-settings.ts';

let processes: ServiceProcesses;
beforeAll(async () => {
  processes = await startServiceProcesses();
});
afterAll(() => processes?.stop());

async function channelTo(service: ServiceName, caller: string) {
  return openChannel({
    address: processes.internalAddress(service),
    tls: { ...(await identityOf(processes, caller)), serverName: `${service}.nexodus.internal` },
  });
}

test('all five become ready from the files that ship', async () => {
  expect([...processes.services.keys()].toSorted()).toEqual([...serviceNames].toSorted());
  for (const { healthUrl } of processes.services.values())
    expect((await fetch(`${healthUrl}/healthz`)).status).toBe(200);
});

test('the public API answers with the certificate of the public authority', async () => {
  const channel = openChannel({
    address: new URL(processes.publicUrl).host,
    tls: { ca: await readFile(processes.publicCaFile, 'utf8') },
  });
  const info = await createRpcClient(ServiceInfoServiceDefinition, channel).getServiceInfo({});
  expect(info.audiences).toEqual([processes.publicUrl]);
  channel.close();
});

test('the apiserver may ask ipam, and a certificate of another service may not', async () => {
  const ask = async (caller: string) => {
    const channel = await channelTo('ipam', caller);
    const client = createRpcClient(IpamServiceDefinition, channel);
    return client.deletePool({}).finally(() => channel.close());
  };
  await expect(ask('apiserver')).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT });
  await expect(ask('relay')).rejects.toMatchObject({ code: Status.PERMISSION_DENIED });
});

test('a certificate of the public authority opens no internal server', async () => {
  const [ca, certificate, key] = await Promise.all([
    readFile(`${processes.secretsFolder}/internal-ca.pem`, 'utf8'),
    readFile(`${processes.secretsFolder}/public.pem`, 'utf8'),
    readFile(`${processes.secretsFolder}/public.key`, 'utf8'),
  ]);
  const channel = openChannel({
    address: processes.internalAddress('relay'),
    tls: { ca, certificate, key, serverName: 'relay.nexodus.internal' },
  });
  const asked = createRpcClient(RelayServiceDefinition, channel).getStatistics({});
  await expect(asked).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  channel.close();
});

function openBus(caller: string) {
  const file = (name: string) => join(processes.secretsFolder, name);
  const problems: string[] = [];
  const link = openNats({
    servers: [processes.natsUrl],
    name: 'test',
    clock: systemClock,
    random: Math.random,
    tls: {
      caFile: file('internal-ca.pem'),
      certFile: file(`${caller}.pem`),
      keyFile: file(`${caller}.key`),
    },
    onError: (error) => problems.push(String(error)),
  });
  const bus = createNatsMessageBus(link);
  return { bus, problems, close: () => bus.close().then(() => link.close()) };
}

test('over NATS the apiserver hears STUN and relay, and these may say nothing but their heartbeats', async () => {
  const apiserver = openBus('apiserver');
  const stun = openBus('stun');
  const heard = new Set<string>();
  apiserver.bus.subscribe('nexodus.>', ({ subject }) => void heard.add(subject));
  await eventually(
    () => heard.has('nexodus.stun.heartbeat') && heard.has('nexodus.relay.heartbeat'),
    {
      timeoutMs: 30_000,
    },
  );
  stun.bus.publish('nexodus.vpc.some.advanced', new Uint8Array());
  await eventually(() => stun.problems.some((problem) => /permission/i.test(problem)));
  await apiserver.bus.flush();
  expect([...heard].filter((subject) => subject.includes('.vpc.'))).toEqual([]);
  await Promise.all([apiserver.close(), stun.close()]);
});

test('NATS lets nobody in by a certificate of the public authority', async () => {
  const stranger = openBus('public');
  await eventually(() => stranger.problems.length > 0);
  expect(await stranger.bus.flush()).toBe(false);
  await stranger.close();
});

test('the SQL that a restore needs fits the schema', async () => {
  const document = await readFile(`${repository}/docs/operations/backup-restore.md`, 'utf8');
  const [, sql = ''] = /```sql\n([\s\S]*?)```/.exec(document) ?? [];
  expect(sql).toContain('log_incarnation');
  const database = openDatabase({
    connection: processes.databaseUrl,
    schema: 'apiserver',
    applicationName: 'test',
    clock: systemClock,
    random: Math.random,
  });
  await database.knex.raw(sql.replaceAll('?', '\\?'));
  await database.close();
});

test('each ends with status 0 when it is told to, and starts again', async () => {
  const own = await startServiceProcesses();
  try {
    await own.services.get('relay')?.terminate();
    await own.restart('relay');
    for (const service of [...own.services.values()].toReversed())
      expect(await service.terminate()).toEqual([0, null]);
    const { healthUrl } = own.services.get('ipam')!;
    await eventually(() =>
      fetch(healthUrl).then(
        () => false,
        () => true,
      ),
    );
  } finally {
    await own.stop();
  }
});

test('a service that shows a certificate of another service is believed by none of its callers', async () => {
  // What ends an impostor is that nobody believes it: apiserver wants ipam.nexodus.internal there.
  const impostors = await startServiceProcesses({
    services: ['ipam'],
    environment: {
      ipam: {
        NEXODUS_INTERNAL_CERTIFICATE_FILE: `${processes.secretsFolder}/stun.pem`,
        NEXODUS_INTERNAL_KEY_FILE: `${processes.secretsFolder}/stun.key`,
        NEXODUS_INTERNAL_CA_FILE: `${processes.secretsFolder}/internal-ca.pem`,
      },
    },
  });
  try {
    const channel = openChannel({
      address: impostors.internalAddress('ipam'),
      tls: { ...(await identityOf(processes, 'apiserver')), serverName: 'ipam.nexodus.internal' },
    });
    const asked = createRpcClient(IpamServiceDefinition, channel).deletePool({});
    await expect(asked).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    channel.close();
  } finally {
    await impostors.stop();
  }
});
