/**
 * The agent's own check on the machine it runs on, from a socket of its own: `node check-own-network.ts ADDRESS:PORT...`
 * names the STUN servers. Prints what a test compares, as JSON.
 */
import {
  advise,
  checkNetwork,
  createCommandRunner,
  createIprouteHostView,
  DIRECT,
  drawNetwork,
  natName,
  openPortSocket,
  readPlaces,
} from '@nexodus/agent/testing';
import { systemClock } from '@nexodus/clock';

const servers = readPlaces(process.argv.slice(2));
const view = createIprouteHostView({ interfaceName: 'nx0', runner: createCommandRunner() });
const portSocket = await openPortSocket();
const question = {
  interfaces: await view.interfaces(),
  tunnelInterface: 'nx0',
  vpcPrefixes: [],
};
const report = await checkNetwork({
  view,
  picture: drawNetwork(question, await view.defaultRoutes()),
  portSocket,
  tunnelPort: 0,
  isTunnelPort: false,
  servers: {
    ipv4: servers.filter(({ address }) => !address.includes(':')),
    ipv6: servers.filter(({ address }) => address.includes(':')),
  },
  relays: [],
  homeRelayId: '',
  access: { caPem: undefined, proxies: DIRECT },
  clock: systemClock,
  signal: new AbortController().signal,
});
portSocket.close();
const { ipv4, ipv6, mtu } = report;
process.stdout.write(
  `${JSON.stringify({
    ipv4: { name: natName(ipv4.verdict), isUsable: ipv4.isUsable, ...ipv4.verdict },
    ipv6: { name: natName(ipv6.verdict), isUsable: ipv6.isUsable, ...ipv6.verdict },
    mtuBytes: mtu?.mtuBytes,
    advice: advise(report).map(({ code }) => code),
  })}\n`,
);
