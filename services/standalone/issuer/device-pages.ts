import type { IncomingMessage } from 'node:http';
import type { Configuration, ErrorOut, KoaContextWithOIDC } from 'oidc-provider';
import { markup, page, pagePolicy, problem } from './page.ts';

/** Words for a person, by what the provider says of a code that was entered. */
const refusals: Readonly<Record<string, string>> = {
  NoCodeError: 'Enter the code that your terminal shows.',
  NotFoundError: 'There is no such code. Compare it with the one on your terminal.',
  ExpiredError: 'This code has expired. Start again in your terminal and enter the new code.',
  AlreadyUsedError:
    'This code was used before. Start again in your terminal and enter the new code.',
  AbortedError: 'The login was cancelled. You may close this page.',
};

type DeviceFlow = NonNullable<NonNullable<Configuration['features']>['deviceFlow']>;

/** Pages of the device authorization grant (RFC 8628 section 3.3), as the provider calls for them. */
export function createDevicePages(
  prefilledCode: (request: IncomingMessage) => string | undefined,
): Pick<DeviceFlow, 'userCodeInputSource' | 'userCodeConfirmSource' | 'successSource'> {
  return {
    userCodeInputSource: (ctx, _form, _out, error) => {
      const refused =
        error === undefined ? undefined : (refusals[error.name] ?? 'That did not work. Try again.');
      askForCode(ctx, prefilledCode(ctx.req) ?? '', refused);
    },
    userCodeConfirmSource: (...[ctx, , client, device, userCode]) => {
      const address = typeof device['ip'] === 'string' ? device['ip'] : 'unknown';
      askForConfirmation(ctx, { client: client.clientName ?? client.clientId, address, userCode });
    },
    successSource: (ctx) => {
      show(
        ctx,
        'Device connected',
        markup`<p>You are logged in there. You may close this page.</p>`,
      );
    },
  };
}

function askForCode(ctx: KoaContextWithOIDC, code: string, refused: string | undefined): void {
  show(
    ctx,
    'Connect a device',
    markup`${problem(refused)}
<form method="post" action="${action(ctx)}">
<input type="hidden" name="xsrf" value="${secretOf(ctx)}">
<label for="code">Code on your terminal</label>
<input id="code" name="user_code" value="${code}" required maxlength="32" autocomplete="off" autocapitalize="characters" spellcheck="false">
<button type="submit">Continue</button>
</form>`,
  );
}

function askForConfirmation(
  ctx: KoaContextWithOIDC,
  { client, address, userCode }: { client: string; address: string; userCode: string },
): void {
  show(
    ctx,
    'Is this your device?',
    markup`<p><strong>${client}</strong> at address ${address} asks to be logged in as you.</p>
<p>Continue only if your own terminal shows this code:</p>
<p><code>${userCode}</code></p>
<form method="post" action="${action(ctx)}">
<input type="hidden" name="xsrf" value="${secretOf(ctx)}">
<input type="hidden" name="user_code" value="${userCode}">
<button type="submit" name="confirm" value="yes">Yes, continue</button>
<button type="submit" name="abort" value="yes">No, cancel</button>
</form>`,
  );
}

/** The page for everything else that goes wrong in a browser. */
export function renderError(ctx: KoaContextWithOIDC, out: ErrorOut): void {
  const detail = out.error_description ?? out.error;
  show(
    ctx,
    'That did not work',
    markup`${problem(detail)}
      <p>Go back to where you came from and start again.</p>`,
  );
}

/** Sends a page as the answer of the provider. */
export function show(
  ctx: KoaContextWithOIDC,
  title: string,
  body: ReturnType<typeof markup>,
): void {
  ctx.type = 'html';
  ctx.set('content-security-policy', pagePolicy);
  ctx.body = page(title, body);
}

function action(ctx: KoaContextWithOIDC): string {
  return ctx.oidc.urlFor('code_verification');
}

/** The provider's own token against forged forms; it lies in the session. */
function secretOf(ctx: KoaContextWithOIDC): string {
  const secret = ctx.oidc.session?.state?.['secret'];
  return typeof secret === 'string' ? secret : '';
}
