import { describe, expect, test } from 'vitest';
import { interpolate, readComposeFile } from './compose-file.ts';
import { loadShippedConfig, serviceNames } from './service-settings.ts';

const variables = { NEXODUS_HOST: 'nexodus.test', NEXODUS_ADDRESS: '192.0.2.1' };

describe.each(serviceNames)('the configuration of %s', (service) => {
  const { environment } = readComposeFile().services[service]!;
  const env = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, interpolate(value, variables)]),
  );

  test('is accepted by the service as it stands', () => {
    expect(() => loadShippedConfig(service)).not.toThrow();
  });

  test('is accepted with what compose adds to it, and shows the certificate of the service', () => {
    expect(loadShippedConfig(service, env)).toMatchObject({
      metrics: { listen: { host: '0.0.0.0', port: 9464 } },
      internal: {
        listen: '0.0.0.0:7444',
        certificate_file: `/run/secrets/${service}.pem`,
        key_file: `/run/secrets/${service}.key`,
        ca_file: '/run/secrets/internal-ca.pem',
        callers: {},
      },
    });
  });

  test('names, for traces, the certificate of the service too', () => {
    expect(env).toMatchObject({
      OTEL_EXPORTER_OTLP_CERTIFICATE: '/run/secrets/internal-ca.pem',
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: `/run/secrets/${service}.pem`,
      OTEL_EXPORTER_OTLP_CLIENT_KEY: `/run/secrets/${service}.key`,
    });
  });
});

test('compose tells the apiserver and STUN how they are reached from outside', () => {
  const { services } = readComposeFile();
  const environmentOf = (service: string) =>
    Object.fromEntries(
      Object.entries(services[service]!.environment).map(([name, value]) => [
        name,
        interpolate(value, variables),
      ]),
    );
  expect(loadShippedConfig('apiserver', environmentOf('apiserver'))).toMatchObject({
    api: { public_urls: ['https://nexodus.test:7443'] },
    issuers: [{ url: 'https://nexodus.test:8443/realms/nexodus', client_id: 'nexodus-cli' }],
  });
  expect(loadShippedConfig('stun', environmentOf('stun'))).toMatchObject({
    stun: { public_addresses: [{ host: '192.0.2.1', port: 3478 }] },
  });
});
