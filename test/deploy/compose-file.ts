import { z } from 'zod';
import { readDeployYaml } from './deploy-file.ts';

const command = z.union([z.string(), z.array(z.string())]);

const secretUse = z.union([z.string(), z.object({ source: z.string(), target: z.string() })]);

/** What the tests look at of a service in docker-compose.yml; everything else is the schema's business. */
const composeService = z.object({
  image: z.string(),
  user: z.string(),
  restart: z.string(),
  read_only: z.boolean(),
  cap_drop: z.array(z.string()),
  cap_add: z.array(z.string()).default([]),
  privileged: z.boolean().default(false),
  security_opt: z.array(z.string()),
  pids_limit: z.number(),
  build: z
    .object({ context: z.string(), dockerfile: z.string(), args: z.record(z.string(), z.string()) })
    .optional(),
  entrypoint: command.optional(),
  command: command.optional(),
  environment: z.record(z.string(), z.string()).default({}),
  secrets: z.array(secretUse).default([]),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  networks: z.union([z.array(z.string()), z.record(z.string(), z.unknown())]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: command.optional(), disable: z.boolean().optional() }).optional(),
  deploy: z.object({
    resources: z.object({ limits: z.object({ cpus: z.string(), memory: z.string() }) }),
  }),
});

/** One service of docker-compose.yml. */
export type ComposeService = z.output<typeof composeService>;

const composeFile = z.object({
  services: z.record(z.string(), composeService),
  networks: z.record(z.string(), z.object({ internal: z.boolean().default(false) })),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
});

/** docker-compose.yml as this project writes it. */
export function readComposeFile(): z.output<typeof composeFile> {
  return composeFile.parse(readDeployYaml('docker-compose.yml'));
}

/** Names of the secrets that a service is given. */
export function secretsOf(service: ComposeService): string[] {
  return service.secrets.map((use) => (typeof use === 'string' ? use : use.source));
}

/** Names of the networks that a service is on. */
export function networksOf(service: ComposeService): string[] {
  return Array.isArray(service.networks) ? service.networks : Object.keys(service.networks);
}

/**
 * Text with compose's variables replaced, as compose does it for `${NAME:?message}`.
 *
 * @throws when a variable is not given or has another form
 */
export function interpolate(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{([^}]*)\}/g, (_, inside: string) => {
    const name = /^([A-Z_]+):\?/.exec(inside)?.[1];
    const value = name === undefined ? undefined : variables[name];
    if (value === undefined) throw new Error(`\${${inside}} has no value or may be empty`);
    return value;
  });
}
