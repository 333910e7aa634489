/** Holds a UDP port until it is ended: node hold-udp-port.ts PORT */
import { createSocket } from 'node:dgram';

const socket = createSocket('udp4');
socket.bind(Number(process.argv[2]), '0.0.0.0', () => process.stdout.write('held\n'));
