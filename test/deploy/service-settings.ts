import { apiserverProcessSettings } from '@nexodus/apiserver';
import { loadConfig } from '@nexodus/config';
import { ipamProcessSettings } from '@nexodus/ipam';
import { policyProcessSettings } from '@nexodus/policy';
import { relayProcessSettings } from '@nexodus/relay';
import { stunProcessSettings } from '@nexodus/stun';
import type { z } from 'zod';
import { deployFile } from './deploy-file.ts';

const settings = {
  apiserver: apiserverProcessSettings,
  ipam: ipamProcessSettings,
  policy: policyProcessSettings,
  stun: stunProcessSettings,
  relay: relayProcessSettings,
} satisfies Record<string, z.ZodObject>;

/** A service that runs as a process of its own. */
export type ServiceName = keyof typeof settings;

/** All of them. */
export const serviceNames: readonly ServiceName[] = [
  'apiserver',
  'ipam',
  'policy',
  'stun',
  'relay',
];

/**
 * Reads the shipped configuration file of a service as its process does.
 *
 * @throws {ConfigError} where the process would refuse it
 */
export function loadShippedConfig(service: ServiceName, env: Record<string, string> = {}): unknown {
  const file = deployFile(`config/${service}.yaml`);
  return loadConfig(settings[service], { file, env, envPrefix: 'NEXODUS' });
}
