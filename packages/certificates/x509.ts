// The library's dependency injection needs this polyfill loaded before it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

/** The X.509 library. */
export { x509 };
