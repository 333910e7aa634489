import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import {
  DeviceServiceDefinition,
  OrganizationServiceDefinition,
  RegistrationKeyServiceDefinition,
  ServiceAccountServiceDefinition,
  ServiceInfoServiceDefinition,
  TokenServiceDefinition,
  UserServiceDefinition,
  VpcServiceDefinition,
} from '@nexodus/contracts/api';
import { expect, test } from 'vitest';
import { rights } from './rights.ts';

const definitions = [
  AgentServiceDefinition,
  DeviceServiceDefinition,
  OrganizationServiceDefinition,
  RegistrationKeyServiceDefinition,
  ServiceAccountServiceDefinition,
  ServiceInfoServiceDefinition,
  TokenServiceDefinition,
  UserServiceDefinition,
  VpcServiceDefinition,
];

test('each RPC of the public API has its row, and no row is without its RPC', () => {
  const paths = definitions.flatMap((definition) =>
    Object.values(definition.methods).map((method) => `/${definition.fullName}/${method.name}`),
  );
  expect(Object.keys(rights).toSorted()).toEqual(paths.toSorted());
});

test('only what carries its own credential, or none, is open to anonymous callers', () => {
  const open = Object.entries(rights).filter(([, right]) => right.callers.includes('anonymous'));
  expect(open.map(([path]) => path.replace(/^.*\//, '')).toSorted()).toEqual([
    'Authenticate',
    'BeginEnroll',
    'Enroll',
    'ExchangeAssertion',
    'GetServiceInfo',
  ]);
});
