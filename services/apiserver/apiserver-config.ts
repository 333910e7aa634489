import { listenAddress, secretFile } from '@nexodus/config';
import { databaseSettings, natsSettings, processSettings } from '@nexodus/service-process';
import { z } from 'zod';

/** An issuer that users log in with. */
export const issuerSettings = z.object({
  /** Issuer identifier. */
  url: z.url(),
  /** Client identifier of the command line and the agent there: a public client with the device authorization grant. */
  client_id: z.string().min(1),
  /** CA of the issuer's certificate; the system's when absent. */
  ca_file: z.string().optional(),
});

/** Settings of the apiserver besides where it listens and what it talks to. */
export const apiserverSettings = z.object({
  /** How long a device may use its last view without the service, in seconds. */
  lease_seconds: z
    .int()
    .min(60)
    .max(30 * 86_400)
    .default(86_400),
});

/** Settings of an apiserver process. */
export const apiserverProcessSettings = processSettings.extend({
  ...apiserverSettings.shape,
  database: databaseSettings,
  nats: natsSettings,
  /** File with 32 random bytes in hex, the same for all replicas: keys for tokens and cookies are derived from it. */
  root_secret_file: secretFile,
  /** The public API. */
  api: z.object({
    /** `host:port` or `[ipv6]:port`. */
    listen: z.string().min(1),
    certificate_file: z.string().min(1),
    key_file: secretFile,
    /** Origins that the service is known by, such as https://nexodus.example:7443. */
    public_urls: z.array(z.url()).min(1),
  }),
  /** The gateway for browsers and curl, with the certificate of the public API; none when absent. */
  https: z
    .object({
      listen: listenAddress,
      /** Origin that browsers know it by. */
      public_url: z.url(),
      /** CA of the public API's certificate. */
      ca_file: z.string().min(1),
    })
    .optional(),
  /** Address of the console and the device login. */
  console_url: z.url(),
  issuers: z.array(issuerSettings).min(1),
  ipam: z.object({ address: z.string().min(1) }),
  policy: z.object({ address: z.string().min(1) }),
});
