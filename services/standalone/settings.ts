import { apiserverSettings, issuerSettings } from '@nexodus/apiserver';
import { ConfigError, listenAddress, loadConfig } from '@nexodus/config';
import { ipamConfig } from '@nexodus/ipam';
import { policyConfig } from '@nexodus/policy';
import { relayConfig } from '@nexodus/relay';
import { databaseSettings, natsSettings, processSettings } from '@nexodus/service-process';
import { stunConfig } from '@nexodus/stun';
import { z } from 'zod';

const publicUrl = z.string().refine(isHttpsOrigin, {
  message: 'must be an HTTPS origin without a path, such as https://nexodus.example:7443',
});

function isHttpsOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.protocol === 'https:' && url.href === `${url.origin}/`;
}

/** Settings of all services in one process. What is absent is made or chosen for this machine. */
const standaloneSettings = z.object({
  /** Least level that is logged, as JSON lines on standard error. */
  log_level: processSettings.shape.log_level.unwrap().default('warn'),
  otlp_endpoint: processSettings.shape.otlp_endpoint,
  /** Health and metrics, over plain HTTP. */
  metrics: processSettings.shape.metrics,
  ...apiserverSettings.shape,
  /** The public gRPC API. Its host is also the default host of `https` and `stun`. */
  api: z
    .object({
      listen: listenAddress.prefault('127.0.0.1:7443'),
      /** Origin that machines reach it at. Default: the address that it listens on. */
      public_url: publicUrl.optional(),
    })
    .prefault({}),
  /** Issuer, login pages and gateway. */
  https: z
    .object({ listen: listenAddress.optional(), public_url: publicUrl.optional() })
    .prefault({}),
  stun: stunConfig.extend({ listen: stunConfig.shape.listen.unwrap().optional() }).prefault({}),
  relay: relayConfig.extend({ listen: listenAddress.optional() }).prefault({}),
  ipam: ipamConfig.prefault({}),
  policy: policyConfig.prefault({}),
  /** A PostgreSQL of yours, as a role that may make roles and schemas; replaces the embedded one. */
  database: databaseSettings.optional(),
  /** A NATS of yours; replaces the bus inside the process. */
  nats: natsSettings.optional(),
  oidc: z
    .object({
      /** Whether people can log in at the embedded issuer. */
      embedded: z.boolean().default(true),
      /** Other issuers that people can log in with. */
      issuers: z.array(issuerSettings).default([]),
    })
    .prefault({}),
});

/** Settings after validation. */
export type StandaloneSettings = z.output<typeof standaloneSettings>;

/** Variables with the prefix of settings that are none. */
const reservedVariables = ['NEXODUS_CONFIG', 'NEXODUS_DATA_DIR', 'NEXODUS_CACHE_DIR'];

/**
 * Reads the settings from a file, if any, and the environment.
 *
 * @throws {ConfigError}
 */
export function loadStandaloneSettings(
  file: string | undefined,
  env: NodeJS.ProcessEnv,
): StandaloneSettings {
  const settings = loadConfig(standaloneSettings, {
    file,
    env,
    envPrefix: 'NEXODUS',
    reservedVariables,
  });
  if (!settings.oidc.embedded && settings.oidc.issuers.length === 0) {
    throw new ConfigError(['oidc.issuers: name an issuer, or set oidc.embedded to true']);
  }
  return settings;
}
