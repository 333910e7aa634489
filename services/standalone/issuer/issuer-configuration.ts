import { type Account, type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { AccountStore } from './account-store.ts';
import { createDevicePages, renderError, show } from './device-pages.ts';
import { markup } from './page.ts';

/** Client identifier of the command line and the agent. */
export const cliClientId = 'nexodus-cli';

/** Client identifier of the browser console. */
export const consoleClientId = 'nexodus-console';

const hour = 3_600;
const day = 24 * hour;

/** What the configuration depends on. */
export interface ConfigurationOptions {
  origin: string;
  mountPath: string;
  accounts: AccountStore;
  adapter: NonNullable<Configuration['adapter']>;
  jwks: NonNullable<Configuration['jwks']>;
  cookieKeys: readonly string[];
  prefilledCode: Parameters<typeof createDevicePages>[0];
}

/** The provider's configuration: two public clients, ES256 only, everything that is not used switched off. */
export function issuerConfiguration(options: ConfigurationOptions): Configuration {
  const { origin, mountPath, accounts, adapter, jwks, cookieKeys } = options;
  return {
    adapter,
    jwks,
    clients: clients(origin),
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'], userinfoSigningAlgValues: ['ES256'] },
    responseTypes: ['code'],
    scopes: ['openid', 'email', 'profile', 'offline_access'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    // People are known by their ID token here, so it says who they are.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    findAccount: (_ctx, subject) => findAccount(accounts, subject),
    interactions: { url: (_ctx, interaction) => `${mountPath}/interaction/${interaction.uid}` },
    cookies: {
      keys: [...cookieKeys],
      // The path of the short ones is that of the page they are for.
      long: { path: mountPath, httpOnly: true, secure: true, sameSite: 'lax', signed: true },
      short: { httpOnly: true, secure: true, sameSite: 'lax', signed: true },
    },
    ttl: {
      AccessToken: hour,
      AuthorizationCode: 60,
      DeviceCode: 10 * 60,
      Grant: 90 * day,
      IdToken: hour,
      Interaction: 15 * 60,
      RefreshToken: 14 * day,
      Session: 12 * hour,
    },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true, ...createDevicePages(options.prefilledCode) },
      resourceIndicators: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true, ...logoutPages },
    },
    renderError,
  };
}

async function findAccount(accounts: AccountStore, subject: string): Promise<Account | undefined> {
  const account = await accounts.findBySubject(subject);
  if (account === undefined) return undefined;
  const { email, displayName } = account;
  const claims = { sub: subject, email, email_verified: true, name: displayName };
  return { accountId: subject, claims: () => Promise.resolve(claims) };
}

const logoutPages = {
  logoutSource: (ctx: KoaContextWithOIDC, form: string): void => {
    const xsrf = /name="xsrf" value="([0-9a-f]+)"/.exec(form)?.[1] ?? '';
    show(
      ctx,
      'Log out?',
      markup`<form method="post" action="${ctx.oidc.urlFor('end_session_confirm')}">
<input type="hidden" name="xsrf" value="${xsrf}">
<button type="submit" name="logout" value="yes">Log out</button>
</form>`,
    );
  },
  postLogoutSuccessSource: (ctx: KoaContextWithOIDC): void =>
    show(ctx, 'Logged out', markup`<p>You may close this page.</p>`),
};

function clients(origin: string): Configuration['clients'] {
  return [
    {
      client_id: cliClientId,
      client_name: 'Nexodus command line',
      token_endpoint_auth_method: 'none',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      response_types: [],
      redirect_uris: [],
    },
    {
      client_id: consoleClientId,
      client_name: 'Nexodus console',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [`${origin}/auth/callback`],
      post_logout_redirect_uris: [`${origin}/`],
    },
  ];
}

/** Whether the provider refused what a client sent, as against a fault of its own. */
export function isRefusal(error: unknown): boolean {
  return error instanceof errors.OIDCProviderError && error.statusCode < 500;
}
