import type { Clock } from '@nexodus/clock';
import type { ConnectRequest, Hello } from '@nexodus/contracts/agent';
import { invalidArgument } from '@nexodus/rpc';

/** What a device gets to say Hello. */
const HELLO_MS = 10_000;

/** Longest text of Hello, in characters: several times what any of them needs. A stream keeps its Hello. */
const MAX_TEXT = 128;

/** Size of a digest. */
const MAX_DIGEST_BYTES = 32;

/**
 * Waits for the first request, which must be Hello.
 *
 * @throws {RpcError} INVALID_ARGUMENT where it is another one, comes too late, or says more than Hello may
 */
export async function readHello(
  iterator: AsyncIterator<ConnectRequest>,
  clock: Clock,
): Promise<Hello> {
  const late = new AbortController();
  const first = await Promise.race([
    iterator.next(),
    clock.wait(HELLO_MS, late.signal).then(() => undefined),
  ]).finally(() => late.abort());
  const message = first === undefined || first.done === true ? undefined : first.value.message;
  if (message?.$case === 'hello') return checkHello(message.value);
  throw invalidArgument([
    { field: 'hello', description: 'must be the first request, within 10 s' },
  ]);
}

/** The digest is copied: as it is, it would keep the whole request that it came in. */
function checkHello(hello: Hello): Hello {
  const { agentVersion, logIncarnation, os, viewDigest, vpcId } = hello;
  const texts = { vpc_id: vpcId, log_incarnation: logIncarnation, agent_version: agentVersion, os };
  const tooLong = Object.entries(texts).filter(([, text]) => text.length > MAX_TEXT);
  const violations = tooLong.map(([name]) => ({
    field: `hello.${name}`,
    description: `must have at most ${MAX_TEXT} characters`,
  }));
  if (viewDigest.length > MAX_DIGEST_BYTES) {
    const description = `must have at most ${MAX_DIGEST_BYTES} bytes`;
    violations.push({ field: 'hello.view_digest', description });
  }
  if (violations.length > 0) throw invalidArgument(violations);
  return { ...hello, viewDigest: Buffer.from(viewDigest) };
}
