import {
  ServerInterceptingCall,
  ServerListenerBuilder,
  type ServerInterceptor,
} from '@grpc/grpc-js';

/** Metadata in which the server notes the URI names of the certificate that the client showed. Never taken from outside. */
export const peerNamesMetadata = 'nexodus-peer-names';

/**
 * Notes whose certificate the transport verified, so that handlers can ask for the calling service. What a client sends
 * under that name is overwritten.
 */
export const peerNameInterceptor: ServerInterceptor = (_method, call) =>
  new ServerInterceptingCall(call, {
    start: (next) => {
      const names = uriNames(call.getAuthContext().sslPeerCertificate?.subjectaltname);
      const listener = new ServerListenerBuilder()
        .withOnReceiveMetadata((metadata, passOn) => {
          metadata.remove(peerNamesMetadata);
          if (names.length > 0) metadata.set(peerNamesMetadata, names.join(','));
          passOn(metadata);
        })
        .build();
      next(listener);
    },
  });

/** The URI entries of a subject alternative name as Node prints it. */
function uriNames(subjectAltName: string | undefined): string[] {
  if (subjectAltName === undefined) return [];
  return subjectAltName
    .split(', ')
    .filter((entry) => entry.startsWith('URI:') && !entry.includes('"') && !entry.includes(','))
    .map((entry) => entry.slice('URI:'.length));
}
