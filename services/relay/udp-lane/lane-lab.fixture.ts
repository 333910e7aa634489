/** A relay, two devices and a stranger on virtual hosts, with the lane and the devices' sockets in processes there. */
import { tmpdir } from 'node:os';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '@nexodus/clock/testing';
import { parseIpAddress } from '@nexodus/netip';
import {
  createVirtualNetwork,
  type HostProcess,
  type VirtualHost,
  type VirtualNetwork,
} from '@nexodus/netsim';
import {
  encodeRegistration,
  openRegistrationAnswer,
  RelayRegistrationKey,
  type SessionSide,
} from '@nexodus/relay-registration';
import { formatX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import type { HostCommand, HostedSession, HostSays, LaneHostConfig } from './lane-host.fixture.ts';
import type { PeerCommand, PeerSays } from './peer.fixture.ts';

/** An address and port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** A process that talks in lines of JSON. */
export class Talker<Command, Said extends { says: string }> {
  readonly said: Said[] = [];
  readonly process: HostProcess;

  constructor(process: HostProcess) {
    this.process = process;
    void this.#read();
  }

  tell(command: Command): void {
    this.process.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /** Waits for something that was said from position `from` on. */
  async hear<K extends Said['says']>(
    says: K,
    isWanted: (said: Extract<Said, { says: K }>) => boolean = () => true,
    from = 0,
  ): Promise<Extract<Said, { says: K }>> {
    return eventually(() => this.all(says, from).find(isWanted) ?? false, {
      intervalMs: 5,
    }) as Promise<Extract<Said, { says: K }>>; // false is never what is found
  }

  all<K extends Said['says']>(says: K, from = 0): Extract<Said, { says: K }>[] {
    return this.said
      .slice(from)
      .filter((said): said is Extract<Said, { says: K }> => said.says === says);
  }

  async #read(): Promise<void> {
    for await (const line of this.process.lines()) {
      if (!line.startsWith('{')) process.stderr.write(`${line}\n`);
      else this.said.push(JSON.parse(line) as Said);
    }
  }
}

/** Sockets on one host. */
export class Peer {
  readonly talker: Talker<PeerCommand, PeerSays>;
  readonly host: VirtualHost;

  constructor(host: VirtualHost, process: HostProcess) {
    this.host = host;
    this.talker = new Talker(process);
  }

  async bind(name: string, address: string, port = 0): Promise<Endpoint> {
    this.talker.tell({ do: 'bind', name, address, port });
    const bound = await this.talker.hear('bound', (one) => one.name === name);
    return { address, port: bound.port };
  }

  send(from: string, to: Endpoint, bytes: Uint8Array, times = 1): void {
    this.talker.tell({ do: 'send', from, to, hex: Buffer.from(bytes).toString('hex'), times });
  }

  /** What a socket received, in hexadecimal. */
  received(name: string): string[] {
    return this.talker.all('received').flatMap((one) => (one.name === name ? [one.hex] : []));
  }

  async receives(name: string, bytes: Uint8Array): Promise<void> {
    const hex = Buffer.from(bytes).toString('hex');
    await this.talker.hear('received', (one) => one.name === name && one.hex === hex);
  }
}

/** Keys of a pair and its session. */
export interface LabSession {
  readonly id: bigint;
  readonly wireGuardKeys: readonly [WireGuardPrivateKey, WireGuardPrivateKey];
  readonly registrationKeys: readonly [RelayRegistrationKey, RelayRegistrationKey];
  readonly hosted: HostedSession;
}

/** Draws the keys of a session. */
export function labSession(id: bigint, limits: Partial<HostedSession> = {}): LabSession {
  const wireGuardKeys = [WireGuardPrivateKey.generate(), WireGuardPrivateKey.generate()] as const;
  const registrationKeys = [
    RelayRegistrationKey.generate(),
    RelayRegistrationKey.generate(),
  ] as const;
  const devices = ([0, 1] as const).map(
    (side) =>
      [
        formatX25519PublicKey(wireGuardKeys[side].publicKey),
        Buffer.from(registrationKeys[side].exportBytes()).toString('base64'),
      ] as const,
  );
  const hosted = { id: String(id), tenant: `tenant ${id}`, devices, ...limits };
  return { id, wireGuardKeys, registrationKeys, hosted };
}

/** The lane on its host. */
export class HostedLane {
  readonly talker: Talker<HostCommand, HostSays>;

  constructor(process: HostProcess) {
    this.talker = new Talker(process);
  }

  async open(session: LabSession): Promise<readonly (readonly string[])[] | undefined> {
    const from = this.talker.said.length;
    this.talker.tell({ do: 'open', session: session.hosted });
    const opened = await this.talker.hear('opened', ({ id }) => id === session.hosted.id, from);
    return opened.place;
  }

  close(session: LabSession): void {
    this.talker.tell({ do: 'close', id: session.hosted.id });
  }

  async statistics() {
    const from = this.talker.said.length;
    this.talker.tell({ do: 'statistics' });
    return (await this.talker.hear('statistics', () => true, from)).statistics;
  }

  async stop(): Promise<void> {
    this.talker.tell({ do: 'stop' });
    await this.talker.hear('stopped');
  }
}

/** The hosts. */
export class LaneLab {
  readonly network: VirtualNetwork;
  readonly relay: VirtualHost;
  readonly alpha: Peer;
  readonly beta: Peer;
  readonly stranger: Peer;
  readonly folder: string;
  #timestamp = 0n;

  private constructor(parts: {
    network: VirtualNetwork;
    relay: VirtualHost;
    peers: readonly [Peer, Peer, Peer];
    folder: string;
  }) {
    this.network = parts.network;
    this.relay = parts.relay;
    [this.alpha, this.beta, this.stranger] = parts.peers;
    this.folder = parts.folder;
  }

  /** `narrowBytes`: beta is behind a router whose link to it takes packets of at most so many bytes. */
  static async open({ narrowBytes }: { narrowBytes?: number } = {}): Promise<LaneLab> {
    const network = await createVirtualNetwork();
    const near = await network.switch('net', { ipv4: '203.0.113.0/24', ipv6: '2001:db8::/64' });
    const far = await network.switch('far', { ipv4: '198.51.100.0/24', ipv6: '2001:db8:1::/64' });
    const [relay, ...others] = await Promise.all(
      ['relay', 'alpha', 'beta', 'stranger'].map((name) =>
        network.host(name, [{ switch: name === 'beta' && narrowBytes !== undefined ? far : near }]),
      ),
    );
    if (narrowBytes !== undefined) {
      const attachments = [near, far].map((segment) => ({ switch: segment, isGateway: true }));
      const router = await network.host('router', attachments, { forwarding: true });
      const mtu = String(narrowBytes);
      await router.run('ip', ['link', 'set', 'eth1', 'mtu', mtu]);
      await others[1]?.run('ip', ['link', 'set', 'eth0', 'mtu', mtu]);
    }
    const peers = await Promise.all(
      others.map(async (host) => new Peer(host, await startNode(host, './peer.fixture.ts'))),
    );
    const [alpha, beta, stranger] = peers;
    if (!relay || !alpha || !beta || !stranger) throw new Error('four hosts were made');
    const folder = await mkdtemp(join(tmpdir(), 'nexodus-lane-'));
    return new LaneLab({ network, relay, peers: [alpha, beta, stranger], folder });
  }

  /** `prefix`: a program and its arguments that run the lane, such as one that takes rights away. */
  async startLane(
    config: Partial<LaneHostConfig> = {},
    prefix: readonly string[] = [],
  ): Promise<HostedLane> {
    const complete: LaneHostConfig = {
      addresses: [this.relay.ipv4, this.relay.ipv6],
      ports: { first: 20_000, last: 20_199 },
      ...config,
    };
    const lane = new HostedLane(
      await startNode(this.relay, './lane-host.fixture.ts', {
        args: [JSON.stringify(complete)],
        prefix,
      }),
    );
    await lane.talker.hear('started');
    return lane;
  }

  get stateFile(): string {
    return join(this.folder, 'forwarding.json');
  }

  /** Registers a side from a socket until it is locked. */
  async register(
    session: LabSession,
    side: SessionSide,
    at: {
      readonly peer: Peer;
      readonly name: string;
      readonly from: Endpoint;
      readonly to: Endpoint;
    },
  ): Promise<void> {
    const key = session.registrationKeys[side];
    const request = encodeRegistration(
      {
        sessionId: session.id,
        side,
        timestamp: (this.#timestamp += 1n),
        observed: { address: parseIpAddress(at.from.address), port: at.from.port },
      },
      key,
    );
    at.peer.send(at.name, at.to, request);
    await eventually(() =>
      at.peer
        .received(at.name)
        .some((hex) => openRegistrationAnswer(Buffer.from(hex, 'hex'), request, key)?.isLocked),
    );
  }

  async close(): Promise<void> {
    await this.network.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function startNode(
  host: VirtualHost,
  file: string,
  { args = [], prefix = [] }: { args?: readonly string[]; prefix?: readonly string[] } = {},
): Promise<HostProcess> {
  const { pathname } = new URL(file, import.meta.url);
  const [program = '', ...rest] = [...prefix, process.execPath, pathname, ...args];
  return host.spawn(program, rest);
}

/** The endpoint of one family in a place's side. */
export function placeOf(texts: readonly string[] | undefined, family: 4 | 6): Endpoint {
  const text = texts?.find((one) => one.startsWith('[') === (family === 6)) ?? '';
  const at = text.lastIndexOf(':');
  return { address: text.slice(0, at).replaceAll(/[[\]]/g, ''), port: Number(text.slice(at + 1)) };
}

/** A data message with a number in it, such as WireGuard sends. */
export function dataMessage(number: number, length = 64): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = 4;
  new DataView(bytes.buffer).setUint32(16, number);
  return bytes;
}
