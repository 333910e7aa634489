import { parse } from 'node-html-parser';
import { CookieJar } from 'tough-cookie';
import { Agent, fetch, type Response } from 'undici';

/** A person at a browser, for tests: follows redirects, keeps cookies, fills in forms. It runs no script. */
export interface TestBrowser {
  /** Opens a page and returns where it ended and what it shows. */
  open(url: string): Promise<TestPage>;
  /**
   * Fills in the only form of a page and sends it. A button is pressed by its name.
   *
   * @throws for a page without a form, or whose form has no such field
   */
  submit(page: TestPage, fields: Readonly<Record<string, string>>): Promise<TestPage>;
  close(): Promise<void>;
}

/** A page that was reached. */
export interface TestPage {
  url: string;
  status: number;
  /** What the heading says. */
  heading: string;
  text: string;
  headers: Response['headers'];
}

/** Redirects that a browser would follow too. */
const maxRedirects = 10;

/** Opens a browser that trusts one CA. */
export function openTestBrowser({ ca }: { ca: string }): TestBrowser {
  const dispatcher = new Agent({ connect: { ca } });
  const jar = new CookieJar();
  const request = async (url: string, form?: URLSearchParams, redirects = 0): Promise<TestPage> => {
    const response = await fetch(url, {
      dispatcher,
      redirect: 'manual',
      method: form === undefined ? 'GET' : 'POST',
      body: form?.toString(),
      headers: {
        accept: 'text/html',
        cookie: await jar.getCookieString(url),
        ...(form === undefined ? {} : formHeaders(url)),
      },
    });
    for (const cookie of response.headers.getSetCookie()) await jar.setCookie(cookie, url);
    const location = response.headers.get('location');
    const text = await response.text();
    if (location === null || redirects >= maxRedirects) {
      const heading = parse(text).querySelector('h1')?.text ?? '';
      return { url, status: response.status, heading, text, headers: response.headers };
    }
    const next = new URL(location, url).href;
    // RFC 9110 section 15.4: 307 and 308 keep the method, the others become GET.
    const isKept = response.status === 307 || response.status === 308;
    return request(next, isKept ? form : undefined, redirects + 1);
  };
  return {
    open: (url) => request(url),
    submit: (page, fields) => {
      const { action, values } = fillForm(page, fields);
      return request(action, values);
    },
    close: () => dispatcher.close(),
  };
}

function formHeaders(url: string): Record<string, string> {
  return {
    'content-type': 'application/x-www-form-urlencoded',
    origin: new URL(url).origin,
    'sec-fetch-site': 'same-origin',
  };
}

/** What a browser would send: what the form holds already, besides buttons, and what was filled in. */
function fillForm(
  page: TestPage,
  fields: Readonly<Record<string, string>>,
): { action: string; values: URLSearchParams } {
  const form = parse(page.text).querySelector('form');
  const at = `${page.url} (${page.status}, "${page.heading}")`;
  if (form === null) throw new Error(`there is no form at ${at}: ${page.text}`);
  const values = new URLSearchParams();
  for (const input of form.querySelectorAll('input[name]')) {
    values.set(input.getAttribute('name') ?? '', input.getAttribute('value') ?? '');
  }
  for (const [name, value] of Object.entries(fields)) {
    if (form.querySelector(`[name="${name}"]`) === null)
      throw new Error(`the form at ${at} has no field ${name}: ${form.toString()}`);
    values.set(name, value);
  }
  return { action: new URL(form.getAttribute('action') ?? '', page.url).href, values };
}
