import type { HttpsRoute } from '@nexodus/apiserver';
import { markup, page, pagePolicy } from './issuer/page.ts';

/** What the page at `/` names. */
export interface FrontPageOptions {
  apiUrl: string;
  /** Path of the device login; undefined where the embedded issuer is not used. */
  devicePath: string | undefined;
  caPem: string;
}

/** The page that says what this is, the short address of the device login, and the CA for download. */
export function createFrontPage({ apiUrl, devicePath, caPem }: FrontPageOptions): HttpsRoute {
  const login =
    devicePath === undefined
      ? markup``
      : markup`<li><a href="/device">Connect a device</a> with the code that it shows</li>`;
  const text = page(
    'Nexodus',
    markup`<p>This is a Nexodus service: encrypted, direct, policy-controlled paths between your machines.</p>
<ul>
<li>Service URL: ${apiUrl}</li>
${login}
<li><a href="/ca.pem">The certificate of this service's CA</a></li>
</ul>`,
  );
  return {
    covers: (path) => ['/', '/device', '/ca.pem'].includes(path),
    handle: (request, response) => {
      const url = new URL(request.url ?? '/', 'https://front');
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.writeHead(405, { allow: 'GET, HEAD' }).end();
      } else if (url.pathname === '/ca.pem') {
        response.writeHead(200, { 'content-type': 'application/x-pem-file' }).end(caPem);
      } else if (url.pathname === '/device' && devicePath !== undefined) {
        response.writeHead(307, { location: devicePath + url.search }).end();
      } else if (url.pathname === '/') {
        const headers = {
          'content-type': 'text/html; charset=utf-8',
          'content-security-policy': pagePolicy,
        };
        response.writeHead(200, headers).end(text);
      } else {
        response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n');
      }
    },
  };
}
