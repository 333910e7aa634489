/**
 * The rights matrix: one row for each RPC of the public API. An RPC without a row is refused.
 *
 * `callers` says which kinds of credential may call at all; `action` is what the policy service is asked, with the
 * resource that the handler found. "own" marks RPCs whose handler lets a caller act on itself only and asks nobody.
 */

/** Kinds of credential. */
export type CallerKind = 'anonymous' | 'user' | 'service_account' | 'device';

/** What an RPC demands. */
export interface Right {
  readonly callers: readonly CallerKind[];
  readonly action: string;
}

const people: readonly CallerKind[] = ['user', 'service_account'];
const anyone: readonly CallerKind[] = ['anonymous', 'user', 'service_account', 'device'];

function managed(action: string): Right {
  return { callers: people, action };
}

/** Rows by full method name. */
export const rights: Readonly<Record<string, Right>> = {
  '/nexodus.api.v1.ServiceInfoService/GetServiceInfo': { callers: anyone, action: 'own' },
  '/nexodus.api.v1.TokenService/ExchangeAssertion': { callers: anyone, action: 'own' },
  '/nexodus.api.v1.UserService/GetUser': managed('user.read'),
  '/nexodus.api.v1.UserService/WhoAmI': {
    callers: ['user', 'service_account', 'device'],
    action: 'own',
  },
  '/nexodus.api.v1.OrganizationService/GetOrganization': managed('organization.read'),
  '/nexodus.api.v1.OrganizationService/ListOrganizations': managed('organization.read'),
  '/nexodus.api.v1.VpcService/CreateVpc': managed('vpc.create'),
  '/nexodus.api.v1.VpcService/GetVpc': managed('vpc.read'),
  '/nexodus.api.v1.VpcService/ListVpcs': managed('vpc.read'),
  '/nexodus.api.v1.VpcService/DeleteVpc': managed('vpc.delete'),
  '/nexodus.api.v1.DeviceService/GetDevice': managed('device.read'),
  '/nexodus.api.v1.DeviceService/ListDevices': managed('device.read'),
  '/nexodus.api.v1.DeviceService/DeleteDevice': managed('device.delete'),
  '/nexodus.api.v1.RegistrationKeyService/CreateRegistrationKey':
    managed('registration-key.create'),
  '/nexodus.api.v1.RegistrationKeyService/GetRegistrationKey': managed('registration-key.read'),
  '/nexodus.api.v1.RegistrationKeyService/ListRegistrationKeys': managed('registration-key.read'),
  '/nexodus.api.v1.RegistrationKeyService/DeleteRegistrationKey':
    managed('registration-key.delete'),
  '/nexodus.api.v1.ServiceAccountService/CreateServiceAccount': managed('service-account.create'),
  '/nexodus.api.v1.ServiceAccountService/GetServiceAccount': managed('service-account.read'),
  '/nexodus.api.v1.ServiceAccountService/ListServiceAccounts': managed('service-account.read'),
  '/nexodus.api.v1.ServiceAccountService/RotateServiceAccountKey':
    managed('service-account.rotate'),
  '/nexodus.api.v1.ServiceAccountService/DisableServiceAccount': managed('service-account.disable'),
  '/nexodus.api.v1.ServiceAccountService/DeleteServiceAccount': managed('service-account.delete'),
  '/nexodus.agent.v1.AgentService/BeginEnroll': { callers: anyone, action: 'own' },
  '/nexodus.agent.v1.AgentService/Enroll': {
    callers: ['anonymous', 'user'],
    action: 'device.enroll',
  },
  '/nexodus.agent.v1.AgentService/Authenticate': { callers: anyone, action: 'own' },
  '/nexodus.agent.v1.AgentService/PublishBinding': { callers: ['device'], action: 'own' },
  '/nexodus.agent.v1.AgentService/IssueRelayGrants': { callers: ['device'], action: 'own' },
  '/nexodus.agent.v1.AgentService/Connect': { callers: ['device'], action: 'own' },
};
