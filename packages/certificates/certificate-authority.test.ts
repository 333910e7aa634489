import { X509Certificate, createHash } from 'node:crypto';
import { inspect } from 'node:util';
import { InvalidAddressError } from '@nexodus/netip';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { CertificateKey } from './certificate-key.ts';
import {
  InvalidCertificateError,
  certificateFingerprint,
  createCertificateAuthority,
  issueServerCertificate,
  issueServiceCertificate,
  needsRenewal,
  parseCertificate,
  parseFingerprint,
  parseIssuedCertificate,
  peerServiceName,
} from './index.ts';
import type { CertificateAuthority, IssuedCertificate } from './index.ts';

const now = new Date('2026-03-01T12:00:00Z');
const dayMs = 24 * 60 * 60 * 1000;
const later = (days: number): Date => new Date(now.getTime() + days * dayMs);
const derOf = (pem: string): Uint8Array => new Uint8Array(new X509Certificate(pem).raw);

let ca: CertificateAuthority;
let server: IssuedCertificate;
let service: IssuedCertificate;

beforeAll(async () => {
  ca = await createCertificateAuthority({ commonName: 'Nexodus demo, local CA', now, years: 10 });
  const names = { dnsNames: ['nexodus.example'], ipAddresses: ['127.0.0.1', 'fd00::1'] };
  server = await issueServerCertificate({ ca, ...names, now, days: 90 });
  service = await issueServiceCertificate({ ca, ...names, now, days: 90, service: 'ipam' });
});

describe('a certificate authority', () => {
  test('is self-signed, a CA, and named as asked', () => {
    const certificate = new X509Certificate(ca.certificatePem);
    expect(certificate.ca).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.toLegacyObject().subject).toEqual({ CN: 'Nexodus demo, local CA' });
    expect(certificate.validToDate).toEqual(later(3650));
    expect(certificate.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: 'prime256v1' });
  });

  test.each(['', '#04', 'a "quoted" CA', 'a\nb', 'x'.repeat(65)])(
    'is not made with the name %j, which would not be kept as it is',
    async (commonName) => {
      const attempt = createCertificateAuthority({ commonName, now, years: 1 });
      await expect(attempt).rejects.toThrow(RangeError);
    },
  );

  test('issues certificates that it signed, for the names asked', () => {
    const certificate = new X509Certificate(server.certificatePem);
    expect(certificate.checkIssued(new X509Certificate(ca.certificatePem))).toBe(true);
    expect(certificate.verify(new X509Certificate(ca.certificatePem).publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.checkHost('nexodus.example')).toBe('nexodus.example');
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(certificate.checkIP('fd00::1')).toBeDefined();
    expect(certificate.checkIP('127.0.0.2')).toBeUndefined();
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  test('gives services the right to call as well', () => {
    const certificate = new X509Certificate(service.certificatePem);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  });

  test('gives every certificate another serial number of 16 bytes', async () => {
    const other = await issueServerCertificate({
      ca,
      dnsNames: ['a.example'],
      ipAddresses: [],
      now,
      days: 1,
    });
    const serials = [ca, server, service, other].map(
      ({ certificatePem }) => new X509Certificate(certificatePem).serialNumber,
    );
    expect(new Set(serials).size).toBe(4);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  test('issues nothing that outlives it, nothing nameless, nothing for a bad service name', async () => {
    const rest = { ca, ipAddresses: [], now };
    const long = await issueServerCertificate({ ...rest, dnsNames: ['a.example'], days: 9999 });
    expect(new X509Certificate(long.certificatePem).validToDate).toEqual(later(3650));
    const nameless = issueServerCertificate({ ...rest, dnsNames: [], days: 1 });
    await expect(nameless).rejects.toThrow(RangeError);
    for (const name of ['', 'a/b', 'Ipam', 'a,URI:nexodus:service/b']) {
      const attempt = issueServiceCertificate({ ...rest, dnsNames: ['x'], days: 1, service: name });
      await expect(attempt).rejects.toThrow(RangeError);
    }
  });

  test.each(['a.example, URI:nexodus:service/apiserver', 'ü.example', '', 'a..b', '-a', 'a/b'])(
    'issues nothing for %j as DNS name',
    async (name) => {
      const attempt = issueServerCertificate({
        ca,
        dnsNames: [name],
        ipAddresses: [],
        now,
        days: 1,
      });
      await expect(attempt).rejects.toThrow(RangeError);
    },
  );

  test.each(['nowhere', '1.2.3', '1.2.3.4/24', 'fd00::1%eth0'])(
    'issues nothing for %j as address',
    async (text) => {
      const attempt = issueServerCertificate({
        ca,
        dnsNames: ['a.example'],
        ipAddresses: [text],
        now,
        days: 1,
      });
      await expect(attempt).rejects.toThrow(InvalidAddressError);
    },
  );

  test('survives its files', async () => {
    const read = parseIssuedCertificate({
      certificatePem: ca.certificatePem,
      keyPem: ca.key.exportPem(),
    });
    expect(read.certificatePem).toBe(ca.certificatePem);
    const issued = await issueServerCertificate({
      ca: read,
      dnsNames: ['b.example'],
      ipAddresses: [],
      now,
      days: 1,
    });
    const certificate = new X509Certificate(issued.certificatePem);
    expect(certificate.verify(new X509Certificate(ca.certificatePem).publicKey)).toBe(true);
  });

  test('is refused from files that do not belong together or are no PEM', () => {
    const { certificatePem } = ca;
    const files = [
      { certificatePem, keyPem: server.key.exportPem() },
      { certificatePem, keyPem: 'nothing' },
      { certificatePem: 'nothing', keyPem: ca.key.exportPem() },
      { certificatePem: certificatePem + server.certificatePem, keyPem: ca.key.exportPem() },
    ];
    for (const pair of files) {
      expect(() => parseIssuedCertificate(pair)).toThrow(InvalidCertificateError);
    }
  });

  test('does not print its key', () => {
    const printed = [String(ca.key), JSON.stringify(ca), inspect(ca, { showHidden: true })].join();
    expect(printed).toContain('[certificate private key]');
    expect(printed).not.toContain('PRIVATE KEY');
    expect(printed).not.toContain(ca.key.exportPem().split('\n')[1]);
  });
});

describe('a fingerprint', () => {
  test('is the SHA-256 of the DER, and is read as people paste it', () => {
    const fingerprint = certificateFingerprint(ca.certificatePem);
    expect(fingerprint).toBe(createHash('sha256').update(derOf(ca.certificatePem)).digest('hex'));
    const pasted = new X509Certificate(ca.certificatePem).fingerprint256;
    expect(parseFingerprint(` ${pasted}\n`)).toBe(fingerprint);
  });

  test('is not taken of two certificates, one of which could be smuggled in', () => {
    const both = ca.certificatePem + server.certificatePem;
    expect(() => certificateFingerprint(both)).toThrow(InvalidCertificateError);
    expect(() => parseCertificate(both)).toThrow(InvalidCertificateError);
  });

  test.each(['', 'abc', 'g'.repeat(64), 'a'.repeat(65)])('is not %j', (text) => {
    expect(() => parseFingerprint(text)).toThrow(InvalidCertificateError);
  });
});

describe('renewal', () => {
  test('is due in the last third of a life, after it, and before it', () => {
    const due = (days: number): boolean => needsRenewal(server.certificatePem, later(days));
    expect([-1, 0, 59, 61, 90, 91].map(due)).toEqual([true, false, false, true, true, true]);
  });
});

describe('the service name of a peer', () => {
  test('is read from a service certificate only', () => {
    expect(peerServiceName(derOf(service.certificatePem))).toBe('ipam');
    expect(peerServiceName(derOf(server.certificatePem))).toBeUndefined();
    expect(peerServiceName(derOf(ca.certificatePem))).toBeUndefined();
  });

  test('is undefined for bytes that are no certificate', () => {
    const der = derOf(service.certificatePem);
    fc.assert(
      fc.property(fc.uint8Array(), fc.nat({ max: der.length - 1 }), (bytes, cut) => {
        expect(peerServiceName(bytes)).toBeUndefined();
        expect(peerServiceName(der.subarray(0, cut))).toBeUndefined();
      }),
    );
  });
});

test('outside texts are refused with the declared error', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .base64String()
      .map((body) => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`),
  );
  fc.assert(
    fc.property(text, (input) => {
      expect(() => certificateFingerprint(input)).toThrow(InvalidCertificateError);
      expect(() => needsRenewal(input, now)).toThrow(InvalidCertificateError);
      expect(() => CertificateKey.fromPem(input)).toThrow(InvalidCertificateError);
    }),
  );
});
