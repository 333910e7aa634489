/** What a request from outside may hand on to the API: its credential, and its own name for the request. */
const allowed: readonly string[] = ['authorization', 'dpop', 'x-request-id'];

/** Longest request id, in characters. */
const longestRequestId = 128;

/**
 * The headers that go on to the API. Everything else stays here: cookies open nothing, and what a client says of its
 * identity, its address (`forwarded`, `x-forwarded-*`) or its trace is not believed.
 */
export function forwardedHeaders(incoming: Headers): Headers {
  const outgoing = new Headers();
  for (const name of allowed) {
    const value = incoming.get(name);
    if (value !== null) outgoing.set(name, value);
  }
  const requestId = outgoing.get('x-request-id');
  if (requestId !== null && !isRequestId(requestId)) outgoing.delete('x-request-id');
  return outgoing;
}

function isRequestId(text: string): boolean {
  return text.length <= longestRequestId && /^[\w.:-]+$/.test(text);
}
