import { expect, test } from 'vitest';
import { type BindingStep, decideBinding, type OwnBinding } from './own-binding.ts';

const now = 1_800_000_000;
const own: OwnBinding = { vpcId: 'v', serial: 4n, notAfterSeconds: now + 60 * 86_400 };

const cases: [string, OwnBinding | undefined, { vpcId: string; serial: bigint }, BindingStep][] = [
  ['nothing when the service holds the newest', own, { vpcId: 'v', serial: 4n }, { kind: 'none' }],
  ['a first one', undefined, { vpcId: 'v', serial: 0n }, { kind: 'sign', serial: 1n }],
  [
    'above the service after lost state',
    undefined,
    { vpcId: 'v', serial: 9n },
    { kind: 'sign', serial: 10n },
  ],
  ['above a serial it never signed', own, { vpcId: 'v', serial: 7n }, { kind: 'sign', serial: 8n }],
  [
    'the same again when the service lost it',
    own,
    { vpcId: 'v', serial: 0n },
    { kind: 'publish-again' },
  ],
  ['a new one for another VPC', own, { vpcId: 'w', serial: 4n }, { kind: 'sign', serial: 5n }],
  [
    'a new one 29 days before the end',
    { ...own, notAfterSeconds: now + 29 * 86_400 },
    { vpcId: 'v', serial: 4n },
    { kind: 'sign', serial: 5n },
  ],
];

test.for(cases)('a device publishes %s', ([, held, published, step]) => {
  expect(decideBinding(held, published, now)).toEqual(step);
});
