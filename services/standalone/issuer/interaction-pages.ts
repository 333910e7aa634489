import type { IncomingMessage, ServerResponse } from 'node:http';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { errors, type default as Provider } from 'oidc-provider';
import type { AccountStore } from './account-store.ts';
import type { AttemptLimit } from './attempt-limit.ts';
import { FormError, isFromOwnPage, readForm } from './form-body.ts';
import { Html, markup, page, pagePolicy, problem } from './page.ts';

/** What the pages work with. */
export interface InteractionOptions {
  provider: Provider;
  accounts: AccountStore;
  limit: AttemptLimit;
  /** Origin of the issuer. */
  origin: string;
  /** Path at which the issuer is mounted, such as "/oidc". */
  mountPath: string;
  /** 32 bytes: keys the tokens against forged forms. */
  formKey: Uint8Array;
}

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  interaction: Interaction;
}

/** What is asked for, in words. */
const scopeWords: Readonly<Record<string, string>> = {
  openid: 'know who you are',
  email: 'see your e-mail address',
  profile: 'see your name',
  offline_access: 'stay logged in until you log out',
};

const path = /^\/interaction\/([\w-]{1,64})(\/login|\/consent)?$/;

/**
 * The pages on which people log in and agree. Returns whether the path, below the mount, was one of them.
 */
export function createInteractionPages(
  options: InteractionOptions,
): (request: IncomingMessage, response: ServerResponse, below: string) => Promise<boolean> {
  return async (request, response, below) => {
    const [, uid, step] = path.exec(below) ?? [];
    if (uid === undefined) return false;
    try {
      const interaction = await options.provider.interactionDetails(request, response);
      if (interaction.uid !== uid)
        throw new errors.SessionNotFound('another login was begun meanwhile');
      await answer(options, { request, response, interaction }, step);
    } catch (error) {
      if (!(error instanceof errors.SessionNotFound || error instanceof FormError)) throw error;
      const body = markup`${problem('This login has ended or was not begun in this browser.')}
        <p>Start again.</p>`;
      send(response, 400, page('That did not work', body));
    }
    return true;
  };
}

async function answer(
  options: InteractionOptions,
  exchange: Exchange,
  step: string | undefined,
): Promise<void> {
  const { request, response, interaction } = exchange;
  if (step === undefined && (request.method === 'GET' || request.method === 'HEAD')) {
    const shown =
      interaction.prompt.name === 'login'
        ? loginPage(options, interaction)
        : consentPage(options, interaction);
    return send(response, 200, shown);
  }
  if (step === undefined || request.method !== 'POST')
    return send(response, 405, page('Not here', markup``));
  if (!isFromOwnPage(request, options.origin)) throw new FormError('sent from elsewhere');
  const form = await readForm(request);
  requireFormToken(options, interaction, form);
  if (form.get('cancel') !== null) {
    const result = { error: 'access_denied', error_description: 'the login was cancelled' };
    return options.provider.interactionFinished(request, response, result, {
      mergeWithLastSubmission: false,
    });
  }
  if (step === '/login') return login(options, exchange, form);
  return consent(options, exchange);
}

async function login(
  { provider, accounts, limit, ...options }: InteractionOptions,
  { request, response, interaction }: Exchange,
  form: URLSearchParams,
): Promise<void> {
  if (interaction.prompt.name !== 'login') throw new FormError('no login is due');
  const email = (form.get('email') ?? '').trim();
  const source = request.socket.remoteAddress ?? '';
  const target = `account ${email.toLowerCase()}`;
  const again = (status: number, text: string): void =>
    send(
      response,
      status,
      loginPage({ provider, accounts, limit, ...options }, interaction, { email, text }),
    );
  const waitSeconds = await limit.attempt(source, target);
  if (waitSeconds !== undefined) {
    response.setHeader('retry-after', String(waitSeconds));
    return again(429, `Too many attempts. Wait ${waitSeconds} seconds and try again.`);
  }
  const account = await accounts.authenticate(email, form.get('password') ?? '');
  if (account === undefined) return again(401, 'E-mail address and password do not fit together.');
  await limit.succeeded(source, target);
  const result = { login: { accountId: account.subject, remember: true } };
  return provider.interactionFinished(request, response, result, {
    mergeWithLastSubmission: false,
  });
}

async function consent(
  { provider }: InteractionOptions,
  { request, response, interaction }: Exchange,
): Promise<void> {
  const { prompt, params, session, grantId } = interaction;
  const accountId = session?.accountId;
  const clientId = params['client_id'];
  if (prompt.name !== 'consent' || accountId === undefined || typeof clientId !== 'string') {
    throw new FormError('no consent is due');
  }
  const known = grantId === undefined ? undefined : await provider.Grant.find(grantId);
  const grant = known ?? new provider.Grant({ accountId, clientId });
  const scopes = textsOf(prompt.details['missingOIDCScope']);
  if (scopes.length > 0) grant.addOIDCScope(scopes.join(' '));
  const claims = textsOf(prompt.details['missingOIDCClaims']);
  if (claims.length > 0) grant.addOIDCClaims(claims);
  const result = { consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function loginPage(
  options: InteractionOptions,
  interaction: Interaction,
  refused?: { email: string; text: string },
): string {
  return page(
    'Log in',
    markup`${problem(refused?.text)}
<form method="post" action="${options.mountPath}/interaction/${interaction.uid}/login">
${hiddenToken(options, interaction)}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" value="${refused?.email ?? ''}" required maxlength="320" autocomplete="username">
<label for="password">Password</label>
<input id="password" name="password" type="password" required maxlength="200" autocomplete="current-password">
<button type="submit">Log in</button>
<button type="submit" name="cancel" value="yes" formnovalidate>Cancel</button>
</form>`,
  );
}

function consentPage(options: InteractionOptions, interaction: Interaction): string {
  const scopes = textsOf(interaction.prompt.details['missingOIDCScope']);
  const items = new Html(
    scopes.map((scope) => markup`<li>${scopeWords[scope] ?? scope}</li>`).join(''),
  );
  const client = interaction.params['client_id'];
  return page(
    'Allow access?',
    markup`<p><strong>${typeof client === 'string' ? client : 'A program'}</strong> asks to:</p>
<ul>${items}</ul>
<form method="post" action="${options.mountPath}/interaction/${interaction.uid}/consent">
${hiddenToken(options, interaction)}
<button type="submit">Allow</button>
<button type="submit" name="cancel" value="yes">Deny</button>
</form>`,
  );
}

function hiddenToken(options: InteractionOptions, interaction: Interaction): Html {
  return markup`<input type="hidden" name="form_token" value="${formToken(options, interaction)}" />`;
}

/** Bound to this interaction, whose cookie only this browser has. */
function formToken({ formKey }: InteractionOptions, { uid }: Interaction): string {
  return createHmac('sha256', formKey).update(`form ${uid}`).digest('base64url');
}

function requireFormToken(
  options: InteractionOptions,
  interaction: Interaction,
  form: URLSearchParams,
): void {
  const given = Buffer.from(form.get('form_token') ?? '');
  const expected = Buffer.from(formToken(options, interaction));
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new FormError('the form carries no token of this login');
  }
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': pagePolicy,
  });
  response.end(text);
}
