import { TokenServiceDefinition } from '@nexodus/contracts/api';
import {
  createClientAssertion,
  createProofOfPossession,
  type CallerPrivateKey,
} from '@nexodus/device-identity';
import { createRpcClient, openChannel, type RpcClient } from '@nexodus/rpc';
import { type ControlPlane, testAudience } from './control-plane.ts';

type Channel = ReturnType<typeof openChannel>;
type Definition = Parameters<typeof createRpcClient>[0];

/** Metadata of a call that shows a token with a proof of the key it is bound to. */
export async function proofMetadata(
  accessToken: string,
  key: CallerPrivateKey,
  method: string,
): Promise<Record<string, string>> {
  const proof = await createProofOfPossession({
    key,
    accessToken,
    audience: testAudience,
    method,
    now: new Date(),
  });
  return { authorization: `DPoP ${accessToken}`, dpop: proof };
}

/** Somebody who calls the public API. */
export interface ApiCaller {
  readonly channel: Channel;
  /** A client that authenticates as the caller. */
  readonly client: <D extends Definition>(definition: D) => RpcClient<D>;
  readonly close: () => void;
}

/** Calls without any credential. */
export function anonymousCaller(plane: ControlPlane): ApiCaller {
  const channel = openChannel({ address: plane.url, tls: { ca: plane.caPem } });
  return {
    channel,
    client: (definition) => createRpcClient(definition, channel),
    close: () => channel.close(),
  };
}

/** Calls as a person, by an ID token. */
export function userCaller(plane: ControlPlane, idToken: string): ApiCaller {
  const { channel, close } = anonymousCaller(plane);
  const authorization = `Bearer ${idToken}`;
  return {
    channel,
    client: (definition) =>
      createRpcClient(definition, channel, { authorize: () => Promise.resolve({ authorization }) }),
    close,
  };
}

/** Calls as a service account. */
export async function accountCaller(
  plane: ControlPlane,
  id: string,
  key: CallerPrivateKey,
): Promise<ApiCaller> {
  const { channel, close, client } = anonymousCaller(plane);
  const assertion = await createClientAssertion({
    subject: id,
    audience: testAudience,
    key,
    now: new Date(),
  });
  const { accessToken } = await client(TokenServiceDefinition).exchangeAssertion({ assertion });
  return boundCaller({ channel, close, accessToken, key });
}

/** Calls with an access token that is there already. */
export function boundCaller(options: {
  channel: Channel;
  close: () => void;
  accessToken: string;
  key: CallerPrivateKey;
}): ApiCaller {
  const { channel, close, accessToken, key } = options;
  return {
    channel,
    client: (definition) =>
      createRpcClient(definition, channel, {
        authorize: (path) => proofMetadata(accessToken, key, path),
      }),
    close,
  };
}
