/**
 * The audience of assertions, proofs and transcripts for a URL of the service: scheme, host and port, lower case, the
 * port always written, no slash at the end. Agents and clients make the same text of the URL that they dial.
 */
export function audienceOf(serviceUrl: string): string {
  const url = new URL(serviceUrl);
  return `https://${url.hostname}:${url.port === '' ? '443' : url.port}`;
}
