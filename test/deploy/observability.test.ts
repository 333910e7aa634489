import { internalServices } from '@nexodus/deploy';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { readComposeFile } from './compose-file.ts';
import { readDeployFile, readDeployYaml } from './deploy-file.ts';

const named = z.record(z.string(), z.unknown());

const collector = z.strictObject({
  receivers: named,
  processors: named,
  exporters: named,
  extensions: named,
  service: z.strictObject({
    extensions: z.array(z.string()),
    telemetry: z.unknown(),
    pipelines: z.record(
      z.string(),
      z.strictObject({
        receivers: z.array(z.string()).min(1),
        processors: z.array(z.string()),
        exporters: z.array(z.string()).min(1),
      }),
    ),
  }),
});

test('the collector uses only what its file configures, and takes traces by mutual TLS alone', () => {
  const { receivers, processors, exporters, extensions, service } = collector.parse(
    readDeployYaml('otel/collector.yaml'),
  );
  expect(service.extensions).toEqual(Object.keys(extensions));
  const { traces } = service.pipelines;
  expect(traces?.receivers).toEqual(Object.keys(receivers));
  expect(traces?.processors).toEqual(Object.keys(processors));
  expect(traces?.exporters).toEqual(Object.keys(exporters));
  // Memory is bounded before anything is collected into batches.
  expect(traces?.processors[0]).toBe('memory_limiter');
  const grpc = { tls: { client_ca_file: '/run/secrets/internal-ca.pem' } };
  expect(receivers).toMatchObject({ otlp: { protocols: { grpc } } });
});

test('Prometheus asks every service at the port of its configuration', () => {
  const file = z.object({
    scrape_configs: z.array(
      z.object({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) }),
    ),
  });
  const { scrape_configs: jobs } = file.parse(readDeployYaml('prometheus/prometheus.yaml'));
  const targets = jobs.flatMap((job) => job.static_configs.flatMap((one) => one.targets));
  expect(targets).toEqual(internalServices.map((name) => `${name}:9464`));
  const configuration = z.object({ metrics: z.object({ listen: z.literal('0.0.0.0:9464') }) });
  for (const name of internalServices)
    expect(configuration.safeParse(readDeployYaml(`config/${name}.yaml`)).success).toBe(true);
});

test('Keycloak knows the client of the configuration: public, by the device grant and nothing else', () => {
  const { issuers } = z
    .object({ issuers: z.array(z.object({ url: z.string(), client_id: z.string() })) })
    .parse(readDeployYaml('config/apiserver.yaml'));
  const realm = JSON.parse(readDeployFile('keycloak/nexodus-realm.json'));
  expect(issuers.map(({ url }) => new URL(url).pathname)).toEqual([`/realms/${realm.realm}`]);
  expect(realm).toMatchObject({
    enabled: true,
    sslRequired: 'all',
    registrationAllowed: false,
    bruteForceProtected: true,
    clients: [
      {
        clientId: issuers[0]?.client_id,
        publicClient: true,
        standardFlowEnabled: false,
        implicitFlowEnabled: false,
        directAccessGrantsEnabled: false,
        serviceAccountsEnabled: false,
        attributes: { 'oauth2.device.authorization.grant.enabled': 'true' },
      },
    ],
  });
  expect(JSON.stringify(realm)).not.toMatch(/"(secret|credentials|users)"/);
  const { environment } = readComposeFile().services['apiserver']!;
  expect(environment['NEXODUS_ISSUERS']).toContain(`client_id: ${issuers[0]?.client_id}`);
});

test('PostgreSQL lets nobody in without TLS and a password', () => {
  const rules = readDeployFile('postgres/pg_hba.conf')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/\s+/));
  expect(rules.at(-1)).toEqual(['host', 'all', 'all', 'all', 'reject']);
  for (const [kind, , , ...rest] of rules.slice(0, -1)) {
    expect(['local', 'hostssl']).toContain(kind);
    expect(rest.at(-1)).toBe('scram-sha-256');
  }
});
