import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import packet from 'dns-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { DataplaneError } from './dataplane-error.ts';
import type { HostResolver } from './host-resolver.ts';
import { createNames } from './names.ts';
import type { Names } from './names.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const listen = { address: '127.0.0.1', port: 0 };
const hosts = [{ hostname: 'alpha', addresses: ['100.64.0.7', 'fd00::7'] }];
const name = 'alpha.default.nexodus';

/** A resolver that keeps what it was told. */
function recordingResolver(hook: HostResolver['hook']) {
  const told: string[] = [];
  const resolver: HostResolver = {
    hook,
    route: async (address, domain) => void told.push(`route ${address} ${domain}`),
    unroute: async () => void told.push('unroute'),
  };
  return { resolver, told };
}

function query(): Buffer {
  return packet.encode({ type: 'query', id: 9, questions: [{ name, type: 'AAAA' }] });
}

async function askUdp(port: number): Promise<Buffer> {
  const socket = createSocket('udp4');
  socket.send(query(), port, listen.address);
  const [message] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  return message;
}

async function askTcpInPieces(port: number): Promise<Buffer> {
  const socket = connect(port, listen.address);
  const framed = packet.streamEncode({ type: 'query', id: 9, questions: [{ name, type: 'AAAA' }] });
  socket.write(framed.subarray(0, 1));
  socket.write(framed.subarray(1, 20));
  socket.write(framed.subarray(20));
  const [message] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return message.subarray(2);
}

function addressesIn(message: Buffer) {
  return (packet.decode(message).answers ?? []).map((answer) => 'data' in answer && answer.data);
}

describe('createNames', () => {
  let names: Names | undefined;

  afterEach(async () => {
    await names?.down();
    names = undefined;
  });

  test('answers over UDP and over TCP, also when a message comes in pieces', async () => {
    names = createNames({ ...recordingResolver('none'), logger: quiet, listen });
    await names.apply('default', hosts, 7);
    const port = names.status().listening?.port ?? 0;
    expect(addressesIn(await askUdp(port))).toEqual(['fd00::7']);
    expect(addressesIn(await askTcpInPieces(port))).toEqual(['fd00::7']);
    await names.apply('default', [], 7);
    expect(addressesIn(await askUdp(port))).toEqual([]);
  });

  test('tells the resolver of the machine once per domain and takes it back', async () => {
    const { resolver, told } = recordingResolver('systemd-resolved');
    names = createNames({ resolver, logger: quiet, listen });
    await names.apply('default', hosts, 7);
    await names.apply('default', [], 7);
    await names.apply('other', hosts, 7);
    expect(names.status()).toMatchObject({ domain: 'other.nexodus', notice: null });
    await names.down();
    const routed = ['default.nexodus', 'other.nexodus'].map(
      (domain) => `route 127.0.0.1 ${domain}`,
    );
    expect(told).toEqual([...routed, 'unroute']);
    expect(names.status()).toMatchObject({ listening: null, domain: null });
  });

  test('tells the resolver anew when the interface was made anew, which forgot', async () => {
    const { resolver, told } = recordingResolver('systemd-resolved');
    names = createNames({ resolver, logger: quiet, listen });
    for (const index of [7, null, 7, 8, null, 8]) await names.apply('default', hosts, index);
    const route = 'route 127.0.0.1 default.nexodus';
    expect(told).toEqual([route, route]);
  });

  test('tells a resolver that failed again with the next call, also of a new interface', async () => {
    const { resolver, told } = recordingResolver('systemd-resolved');
    let isBroken = false;
    const route = async (address: string, domain: string): Promise<void> => {
      if (isBroken) throw new DataplaneError('command-failed', 'resolvectl failed.', 'Look at it.');
      await resolver.route(address, domain);
    };
    names = createNames({ resolver: { ...resolver, route }, logger: quiet, listen });
    await names.apply('default', hosts, 7);
    isBroken = true;
    await expect(names.apply('default', hosts, 8)).rejects.toThrow('resolvectl failed.');
    expect(names.status().notice).toMatch(/resolvectl failed/);
    isBroken = false;
    await names.apply('default', hosts, 8);
    expect(told).toHaveLength(2);
    expect(names.status().notice).toBeNull();
  });

  test('leaves the resolver alone that this process told nothing, unless it is asked to', async () => {
    const { resolver, told } = recordingResolver('systemd-resolved');
    names = createNames({ resolver, logger: quiet, listen });
    await names.down();
    expect(told).toEqual([]);
    await names.down({ alsoEarlier: true });
    expect(told).toEqual(['unroute']);
  });

  test('says so where the machine cannot be split by domain', async () => {
    names = createNames({ ...recordingResolver('none'), logger: quiet, listen });
    await names.apply('default', hosts, 7);
    expect(names.status().notice).toMatch(/\/etc\/resolv\.conf was left alone/);
  });

  test('says why it cannot listen, and listens at the next call', async () => {
    const holder = createSocket('udp4');
    holder.bind(0, listen.address);
    await once(holder, 'listening');
    const taken = { address: listen.address, port: holder.address().port };
    names = createNames({ ...recordingResolver('none'), logger: quiet, listen: taken });
    const unavailable = { reason: 'names-unavailable' };
    await expect(names.apply('default', hosts, 7)).rejects.toMatchObject(unavailable);
    expect(names.status().notice).toMatch(/cannot listen .*EADDRINUSE/);
    holder.close();
    await once(holder, 'close');
    await names.apply('default', hosts, 7);
    expect(names.status().listening).toEqual(taken);
  });
});
