import {
  Device,
  Organization,
  RegistrationKey,
  Role,
  ServiceAccount,
  Vpc,
} from '@nexodus/contracts/api';
import { instantText, type ResourceView } from './print-resource.ts';

const roleNames: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: '-',
  [Role.OWNER]: 'owner',
  [Role.ADMIN]: 'admin',
  [Role.MEMBER]: 'member',
  [Role.AUDITOR]: 'auditor',
  [Role.UNRECOGNIZED]: 'unknown',
};

/** A role as people write it. */
export function roleText(role: Role): string {
  return roleNames[role];
}

/** Organizations in tables and as data. */
export const organizationView: ResourceView<Organization> = {
  columns: [
    { title: 'name', text: ({ name }) => name },
    { title: 'role', text: ({ role }) => roleText(role) },
    { title: 'ula prefix', text: ({ ulaPrefix }) => ulaPrefix },
    { title: 'id', text: ({ id }) => id },
  ],
  toJson: (organization) => Organization.toJSON(organization),
};

/** VPCs in tables and as data. */
export const vpcView: ResourceView<Vpc> = {
  columns: [
    { title: 'name', text: ({ name, isDefault }) => (isDefault ? `${name} (default)` : name) },
    { title: 'ipv4 prefix', text: ({ ipv4Prefix }) => ipv4Prefix },
    { title: 'ipv6 prefix', text: ({ ipv6Prefix }) => ipv6Prefix },
    { title: 'description', text: ({ description }) => description },
    { title: 'id', text: ({ id }) => id },
  ],
  toJson: (vpc) => Vpc.toJSON(vpc),
};

/** Devices in tables and as data. */
export const deviceView: ResourceView<Device> = {
  columns: [
    { title: 'hostname', text: ({ hostname }) => hostname },
    { title: 'online', text: ({ online }) => (online ? 'yes' : 'no') },
    { title: 'ipv4', text: ({ ipv4Address }) => ipv4Address },
    { title: 'ipv6', text: ({ ipv6Address }) => ipv6Address },
    { title: 'last seen', text: ({ lastSeenTime }) => instantText(lastSeenTime) },
    { title: 'expires', text: ({ expireTime }) => instantText(expireTime) },
    { title: 'id', text: ({ id }) => id },
  ],
  toJson: (device) => Device.toJSON(device),
};

/** Registration keys in tables and as data, without their secrets. */
export const registrationKeyView: ResourceView<RegistrationKey> = {
  columns: [
    { title: 'prefix', text: ({ prefix }) => prefix },
    {
      title: 'uses',
      text: ({ uses, maxUses }) => `${uses} of ${maxUses === 0 ? 'any number' : maxUses}`,
    },
    { title: 'expires', text: ({ expireTime }) => instantText(expireTime) },
    { title: 'ephemeral', text: ({ ephemeral }) => (ephemeral ? 'yes' : 'no') },
    { title: 'description', text: ({ description }) => description },
    { title: 'id', text: ({ id }) => id },
  ],
  toJson: (key) => RegistrationKey.toJSON(key),
};

/** Service accounts in tables and as data. */
export const serviceAccountView: ResourceView<ServiceAccount> = {
  columns: [
    { title: 'name', text: ({ name, bootstrap }) => (bootstrap ? `${name} (bootstrap)` : name) },
    { title: 'role', text: ({ role }) => roleText(role) },
    { title: 'state', text: ({ disabled }) => (disabled ? 'disabled' : 'enabled') },
    { title: 'created', text: ({ createTime }) => instantText(createTime) },
    { title: 'id', text: ({ id }) => id },
  ],
  toJson: (account) => ServiceAccount.toJSON(account),
};
