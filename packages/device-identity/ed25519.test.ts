import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import {
  Ed25519PrivateKey,
  InvalidSigningKeyError,
  deriveServiceKeys,
  ed25519PublicKeysEqual,
  ed25519Thumbprint,
  parseDevicePublicKey,
  verifyEd25519,
} from './index.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const seed = hex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');

describe('an Ed25519 key', () => {
  const key = Ed25519PrivateKey.fromSeed(seed, 'device');

  test('signs the first vector of RFC 8032 section 7.1', () => {
    expect(key.publicKey).toEqual(
      hex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'),
    );
    expect(Buffer.from(key.sign(new Uint8Array())).toString('hex')).toBe(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155' +
        '5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
    expect(verifyEd25519(key.publicKey, new Uint8Array(), key.sign(new Uint8Array()))).toBe(true);
    expect(verifyEd25519(key.publicKey, Buffer.of(1), key.sign(new Uint8Array()))).toBe(false);
    expect(verifyEd25519(key.publicKey, Buffer.of(1), new Uint8Array())).toBe(false);
  });

  test('has the thumbprint of RFC 8037 appendix A.3', () => {
    expect(ed25519Thumbprint(key.publicKey)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });

  test('is not printed', () => {
    const { cookieKey, tokenSigningKey } = deriveServiceKeys(seed);
    const printed = [
      String(key),
      JSON.stringify({ key, cookieKey, tokenSigningKey }),
      inspect({ key, cookieKey, tokenSigningKey }, { depth: 9, showHidden: true, getters: true }),
    ].join('\n');
    expect(printed).toContain('[device signing key]');
    expect(printed).toContain('[sealing key]');
    expect(printed).not.toContain(key.exportBase64());
    expect(printed).not.toMatch(/9d61b19d|9d 61 b1|157, ?97|Uint8Array/);
  });

  test('survives a round trip through base64 and refuses other texts', () => {
    const copy = Ed25519PrivateKey.fromBase64(key.exportBase64(), 'device');
    expect(ed25519PublicKeysEqual(copy.publicKey, key.publicKey)).toBe(true);
    for (const text of ['', 'AAAA', 'not base64', ` ${key.exportBase64()}`]) {
      expect(() => Ed25519PrivateKey.fromBase64(text, 'device')).toThrow(InvalidSigningKeyError);
    }
  });

  test('is fresh each time it is generated', () => {
    const [first, second] = ['device', 'device'].map(() => Ed25519PrivateKey.generate('device'));
    expect(first?.publicKey).not.toEqual(second?.publicKey);
  });

  test.each([
    ['of 31 bytes', '00'.repeat(31)],
    ['the neutral element', `01${'00'.repeat(31)}`],
    ['the neutral element with a sign', `01${'00'.repeat(30)}80`],
    ['the point of order 2', `ec${'ff'.repeat(30)}7f`],
    ['a point of order 4', '00'.repeat(32)],
    ['the other point of order 4', `${'00'.repeat(31)}80`],
    ['a point of order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['its negative', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85'],
    ['another of order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['the negative of that', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'],
    ['p as coordinate', `ed${'ff'.repeat(30)}7f`],
    ['all ones', 'ff'.repeat(32)],
  ])('is refused as public key when %s', (_name, text) => {
    expect(() => parseDevicePublicKey(hex(text))).toThrow(InvalidSigningKeyError);
  });
});

describe('service keys', () => {
  test('follow from the root secret alone, as another implementation derives them', () => {
    const keys = deriveServiceKeys(new Uint8Array(32).fill(8));
    expect(Buffer.from(keys.tokenSigningKey.publicKey).toString('hex')).toBe(
      '34101bac3e3aa50b18abb0afa02a10e7056d006bf922525dfa34080da6673b4f',
    );
  });

  test('are refused from a short secret', () => {
    expect(() => deriveServiceKeys(new Uint8Array(16))).toThrow(RangeError);
  });
});
