export {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
  SocketAddressFormatError,
  socketAddressesEqual,
  socketAddressLength,
} from './socket-address.ts';
