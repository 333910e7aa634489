import { expect, test } from 'vitest';
import { judgeWireguardGoVersion } from './wireguard-go-version.ts';

test.each([
  ['wireguard-go v0.0.20230223\n\nUserspace WireGuard daemon for linux-amd64.', true],
  ['wireguard-go v0.0.20220316\n', false],
  ['wireguard-go v0.0.20250522\n', true],
  ['wireguard-go 0.0.20201118\n', false],
  ['wireguard-go v1.0.0\n', true],
  ['', false],
])('%j is accepted: %s', (output, isAccepted) => {
  expect(judgeWireguardGoVersion(output).isAccepted).toBe(isAccepted);
});
