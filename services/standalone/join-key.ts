import { audienceOf } from '@nexodus/apiserver';
import type { Clock } from '@nexodus/clock';
import { RegistrationKeyServiceDefinition, TokenServiceDefinition } from '@nexodus/contracts/api';
import {
  createClientAssertion,
  createProofOfPossession,
  type Ed25519PrivateKey,
} from '@nexodus/device-identity';
import { createRpcClient, openChannel } from '@nexodus/rpc';

/** Who asks for the key, and where. */
export interface JoinKeyOptions {
  /** `host:port` of the public API as this machine reaches it. */
  address: string;
  /** Origin by which others know it. */
  serviceUrl: string;
  caPem: string;
  account: { id: string; vpcId: string; key: Ed25519PrivateKey<'service-account'> };
  clock: Clock;
}

/** Life of the key in the printed line, in seconds. */
const lifeSeconds = 3_600;

/**
 * Has the public API make a registration key for one machine within the hour, as any script with the credentials would.
 *
 * @throws {RpcError}
 */
export async function createJoinKey(options: JoinKeyOptions): Promise<string> {
  const { account, clock } = options;
  const audience = audienceOf(options.serviceUrl);
  const now = (): Date => new Date(clock.now());
  const channel = openChannel({
    address: options.address,
    tls: { ca: options.caPem, serverName: 'localhost' },
  });
  try {
    const assertion = await createClientAssertion({
      subject: account.id,
      audience,
      key: account.key,
      now: now(),
    });
    const { accessToken } = await createRpcClient(
      TokenServiceDefinition,
      channel,
    ).exchangeAssertion({
      assertion,
    });
    const client = createRpcClient(RegistrationKeyServiceDefinition, channel, {
      authorize: async (method) => ({
        authorization: `DPoP ${accessToken}`,
        dpop: await createProofOfPossession({
          key: account.key,
          accessToken,
          audience,
          method,
          now: now(),
        }),
      }),
    });
    const { secret } = await client.createRegistrationKey({
      vpcId: account.vpcId,
      description: 'printed at the start of the service',
      maxUses: 1,
      ttl: { seconds: BigInt(lifeSeconds), nanos: 0 },
    });
    return secret;
  } finally {
    channel.close();
  }
}
