/** wireguard-go on the devices of a lane's laboratory, and registration from its port. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostProcess } from '@nexodus/netsim';
import {
  encodeRegistration,
  type ObservedAddress,
  openRegistrationAnswer,
  type SessionSide,
} from '@nexodus/relay-registration';
import { formatX25519PublicKey } from '@nexodus/wireguard';
import type { Endpoint, LabSession, LaneLab, Peer } from './lane-lab.fixture.ts';

/** Port of WireGuard, and of the socket that shares it. */
const WIREGUARD_PORT = 51_820;
const SHARED_PORT = 40_000;
/** How long WireGuard's start may take. */
const START_DEADLINE_MS = 20_000;

/** One end of a tunnel. */
export class Tunnel {
  readonly peer: Peer;
  readonly side: SessionSide;
  /** Address in the tunnel. */
  readonly address: string;
  readonly #session: LabSession;
  readonly #process: HostProcess;
  #observed: ObservedAddress | undefined;
  #timestamp = 1n;

  private constructor(parts: {
    peer: Peer;
    side: SessionSide;
    session: LabSession;
    process: HostProcess;
  }) {
    this.peer = parts.peer;
    this.side = parts.side;
    this.#session = parts.session;
    this.#process = parts.process;
    this.address = `10.9.0.${parts.side + 1}`;
  }

  static async start(
    lab: LaneLab,
    { peer, side, session }: { peer: Peer; side: SessionSide; session: LabSession },
  ): Promise<Tunnel> {
    const { host } = peer;
    const process_ = await host.spawn('wireguard-go', ['-f', 'wg0'], {
      env: { ...process.env, LOG_LEVEL: 'verbose' },
    });
    await process_.waitForLine(/UAPI listener started/, { deadlineMs: START_DEADLINE_MS });
    const keyFile = join(lab.folder, `key-${session.id}-${side}`);
    await writeFile(keyFile, session.wireGuardKeys[side].exportBase64(), { mode: 0o600 });
    const tunnel = new Tunnel({ peer, side, session, process: process_ });
    const port = String(WIREGUARD_PORT);
    await host.run('wg', ['set', 'wg0', 'private-key', keyFile, 'listen-port', port]);
    await host.run('ip', ['address', 'add', `${tunnel.address}/24`, 'dev', 'wg0']);
    await host.run('ip', ['link', 'set', 'wg0', 'mtu', '1280', 'up']);
    await host.run('nft', ['-f', '-'], { stdin: SHARED_PORT_RULES });
    await peer.bind('shared', '0.0.0.0', SHARED_PORT);
    return tunnel;
  }

  /** Sends WireGuard's packets for the other side to an endpoint. */
  async pointAt({ address, port }: Endpoint, keepaliveSeconds = 0): Promise<void> {
    const other = this.side === 0 ? 1 : 0;
    const endpoint = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    const key = formatX25519PublicKey(this.#session.wireGuardKeys[other].publicKey);
    const where = ['endpoint', endpoint, 'allowed-ips', `10.9.0.${other + 1}/32`];
    const keepalive = ['persistent-keepalive', String(keepaliveSeconds)];
    const args = ['set', 'wg0', 'peer', key].concat(where, keepalive);
    await this.peer.host.run('wg', args);
  }

  /** Registers from WireGuard's port until the relay says that it is locked; false when it did not answer in time. */
  async register(to: Endpoint): Promise<boolean> {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const key = this.#session.registrationKeys[this.side];
      const request = encodeRegistration(
        {
          sessionId: this.#session.id,
          side: this.side,
          timestamp: (this.#timestamp += 1n),
          observed: this.#observed,
        },
        key,
      );
      this.peer.send('shared', to, request);
      const said = await this.peer.talker.hear(
        'received',
        ({ name, hex }) =>
          name === 'shared' &&
          openRegistrationAnswer(Buffer.from(hex, 'hex'), request, key) !== undefined,
      );
      const answer = openRegistrationAnswer(Buffer.from(said.hex, 'hex'), request, key);
      this.#observed = answer?.observed;
      if (answer?.isLocked === true) return true;
    }
    return false;
  }

  /** Lines that wireguard-go wrote and that match. */
  logged(pattern: RegExp): readonly string[] {
    return this.#process.tail(100_000).filter((line) => pattern.test(line));
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await this.peer.host.run('nft', ['delete', 'table', 'inet', 'shared_port']);
  }
}

/** What the agent does so that a socket of its own is seen at WireGuard's port, without connection tracking. */
const SHARED_PORT_RULES = `table inet shared_port {
 chain out { type filter hook output priority raw - 10; policy accept;
  udp sport ${SHARED_PORT} udp sport set ${WIREGUARD_PORT}
 }
 chain in { type filter hook input priority 250; policy accept;
  udp dport ${WIREGUARD_PORT} @th,64,32 0xf5574d31 udp dport set ${SHARED_PORT}
 }
}
`;
