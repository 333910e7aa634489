import { expect, test } from 'vitest';
import { banner } from './banner.ts';
import type { StandaloneFacts } from './standalone.ts';

const facts: StandaloneFacts = {
  serviceUrl: 'https://127.0.0.1:7443',
  consoleUrl: 'https://127.0.0.1:8443/',
  metricsUrl: 'http://127.0.0.1:9464/metrics',
  caFingerprint: 'ab'.repeat(32),
  isOpenToOthers: false,
  demoUser: {
    email: 'demo@nexodus.local',
    password: { kind: 'file', path: '/data/demo-password' },
  },
  credentialsPath: '/data/bootstrap-credentials.json',
  isBootstrapEnabled: true,
  joinKey: { kind: 'file', path: '/my data/registration-key' },
};

test('the join line is ready to paste, whatever the path of the key', () => {
  expect(banner(facts)).toContain(
    `  npx nexd up --service-url https://127.0.0.1:7443 --ca-sha256 ${facts.caFingerprint} --reg-key-file '/my data/registration-key'\n`,
  );
});

test('on a terminal the line carries the key, and a new password is shown', () => {
  const text = banner({
    ...facts,
    joinKey: { kind: 'text', text: 'nxr_key' },
    demoUser: { email: 'demo@nexodus.local', password: { kind: 'new', text: 'a-b' } },
  });
  expect(text).toMatch(
    /^ {2}NEXD_REG_KEY=nxr_key npx nexd up --service-url \S+ --ca-sha256 [0-9a-f]{64}$/m,
  );
  expect(text).toContain('a-b   (shown this once)');
});

test('a service of this machine alone names the one setting that opens it', () => {
  expect(banner(facts)).toMatch(/^ {2}NEXODUS_API_LISTEN=[\d.]+:7443 npm start$/m);
  expect(banner(facts)).not.toContain('WARNING');
});

test('a service that others reach warns while its bootstrap account is enabled', () => {
  const open = { ...facts, isOpenToOthers: true };
  expect(banner(open)).toContain('WARNING: others can reach this service');
  expect(banner({ ...open, isBootstrapEnabled: false })).not.toContain('WARNING');
});

test('without the bootstrap account a machine joins by a login', () => {
  const text = banner({ ...facts, isBootstrapEnabled: false, joinKey: undefined });
  expect(text).toMatch(/^ {2}npx nexd up --service-url \S+ --ca-sha256 \S+$/m);
  expect(text).not.toContain('nexctl');
});
