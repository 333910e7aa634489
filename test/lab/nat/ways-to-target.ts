import type { HttpProxy, VirtualHost } from '@nexodus/netsim';

/** A public machine that answers on both families: UDP echo, and TCP on ports 443 and 8443 with a greeting. */
export type Target = { readonly ipv4: string; readonly ipv6: string };

const START_DEADLINE_MS = 20_000;

/** Makes a host a target; it is one until it closes. */
export async function openTarget(host: VirtualHost): Promise<Target> {
  const program = await host.spawn('node', ['-e', TARGET]);
  await program.waitForLine(/^ready$/, { deadlineMs: START_DEADLINE_MS });
  return host;
}

/** Tries every way at once; what has no answer within 3 s counts as closed. */
export async function waysTo(
  target: Target,
  machine: VirtualHost,
  proxy: HttpProxy | undefined,
): Promise<readonly string[]> {
  const through = proxy === undefined ? '' : new URL(proxy.url).host;
  const said = await machine.run('node', ['-e', WAYS, target.ipv4, target.ipv6, through]);
  return said.trim().split(' ');
}

const TARGET = `
const { once } = require('node:events');
const greet = (client) => { client.on('error', () => {}); client.end('hello'); };
const servers = [443, 8443].map((port) => require('node:net').createServer(greet).listen(port, '::'));
const echo = require('node:dgram').createSocket('udp6');
echo.on('message', (text, from) => echo.send(text, from.port, from.address));
echo.bind(7, '::');
Promise.all([echo, ...servers].map((each) => once(each, 'listening'))).then(() => console.log('ready'));
`;

const WAYS = `
const [ipv4, ipv6, proxy] = process.argv.slice(1);
const WAIT_MS = 3000;
const udp = (type, address) => new Promise((resolve) => {
  const socket = require('node:dgram').createSocket(type);
  const done = (way) => { socket.close(); resolve(way); };
  const timer = setTimeout(done, WAIT_MS);
  socket.on('message', () => { clearTimeout(timer); done(type); });
  socket.on('error', () => {});
  socket.send('x', 7, address);
});
const tcp = (name, port, address, ask, answer) => new Promise((resolve) => {
  const socket = require('node:net').connect(port, address, () => ask && socket.write(ask));
  let text = '';
  const timer = setTimeout(() => socket.destroy(), WAIT_MS);
  socket.on('data', (data) => { text += data; });
  socket.on('error', () => {}).on('close', () => { clearTimeout(timer); resolve(answer.test(text) ? name : undefined); });
});
const connect = (name, port) => {
  if (!proxy) return undefined;
  const [host, at] = proxy.split(':');
  const ask = 'CONNECT ' + ipv4 + ':' + port + ' HTTP/1.1\\r\\n\\r\\n';
  return tcp(name, at, host, ask, /^HTTP\\/1.. 200[^]*hello$/);
};
Promise.all([
  udp('udp4', ipv4), udp('udp6', ipv6), tcp('tcp4', 8443, ipv4, '', /^hello$/), tcp('tcp6', 8443, ipv6, '', /^hello$/),
  connect('connect', 443), connect('connect8443', 8443),
]).then((ways) => console.log(ways.filter(Boolean).join(' ')));
`;
