import { udpLaneContract } from './udp-lane.contract.ts';

udpLaneContract('nft');
udpLaneContract('koffi');
udpLaneContract('dgram');
udpLaneContract('nft', 2);
