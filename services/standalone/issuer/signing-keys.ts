import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { JWK } from 'oidc-provider';
import { z } from 'zod';

/** Age at which a key stops signing, in milliseconds: 90 days. */
const signingLifeMs = 90 * 86_400_000;

/** How long a key that signs no more is still published: longer than any ID token lives and any cache keeps. */
const retiredLifeMs = 7 * 86_400_000;

const keysSchema = z.object({
  keys: z
    .array(
      z.object({
        created_at: z.iso.datetime(),
        jwk: z.object({
          kty: z.literal('EC'),
          crv: z.literal('P-256'),
          x: z.string(),
          y: z.string(),
          d: z.string(),
          kid: z.string(),
          use: z.literal('sig'),
          alg: z.literal('ES256'),
        }),
      }),
    )
    .min(1),
});

/** The issuer's signing keys as they are kept: the first signs, all are published. */
export type SigningKeys = z.output<typeof keysSchema>;

/**
 * Brings the keys up to date: makes the first one, puts a new one in front of one that has signed for 90 days, drops
 * those that have been retired for a week.
 *
 * @param text what is kept, undefined at first
 * @throws when it cannot be read: keys are never replaced silently
 */
export function rotateSigningKeys(
  text: string | undefined,
  now: Date,
): { keys: SigningKeys; isChanged: boolean } {
  if (text === undefined) return { keys: { keys: [newKey(now)] }, isChanged: true };
  const { keys } = keysSchema.parse(JSON.parse(text));
  const ageMs = (key: SigningKeys['keys'][number]): number =>
    now.getTime() - Date.parse(key.created_at);
  const [first] = keys;
  const isStale = first === undefined || ageMs(first) > signingLifeMs;
  const kept = keys.filter((key) => ageMs(key) <= 2 * signingLifeMs + retiredLifeMs);
  const current = isStale ? [newKey(now), ...kept] : kept;
  return { keys: { keys: current }, isChanged: current.length !== keys.length || isStale };
}

/** The keys as the provider takes them. */
export function jwksOf({ keys }: SigningKeys): { keys: JWK[] } {
  return { keys: keys.map(({ jwk }) => jwk) };
}

function newKey(now: Date): SigningKeys['keys'][number] {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '', d = '' } = privateKey.export({ format: 'jwk' });
  const kid = randomBytes(16).toString('base64url');
  return {
    created_at: now.toISOString(),
    jwk: { kty: 'EC', crv: 'P-256', x, y, d, kid, use: 'sig', alg: 'ES256' },
  };
}
