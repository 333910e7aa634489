import { createHash } from 'node:crypto';

/** HTML that may be written into a page as it is. Made by `markup` only. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** A template whose values are escaped, unless they are HTML themselves. */
export function markup(strings: TemplateStringsArray, ...values: readonly (string | Html)[]): Html {
  const text = (value: string | Html | undefined): string => {
    if (value === undefined) return '';
    if (value instanceof Html) return value.text;
    return value.replace(/[&<>"']/g, (character) => escapes[character] ?? '');
  };
  return new Html(strings.map((part, index) => part + text(values[index])).join(''));
}

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 26rem; padding: 3rem 1rem; }
h1 { font-size: 1.4rem; }
label { display: block; font-weight: 600; margin-top: 1rem; }
input { box-sizing: border-box; display: block; font: inherit; padding: .5rem; width: 100%; }
button { font: inherit; margin: 1.5rem .5rem 0 0; padding: .5rem 1.25rem; }
code { font-size: 1.25rem; letter-spacing: .1em; }
.problem { border-left: .25rem solid #c22; padding-left: .75rem; }
`;

const styleHash = createHash('sha256').update(style).digest('base64');

/** What a page may do: show itself in its own style, and send its forms here. */
export const pagePolicy = [
  "default-src 'none'",
  `style-src 'sha256-${styleHash}'`,
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

/** Hashed as it stands between the tags. */
const styleElement = new Html(`<style>${style}</style>`);

/** A whole page: no script, nothing from elsewhere, one heading. */
export function page(title: string, body: Html): string {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} - Nexodus</title>
${styleElement}
</head>
<body>
<main>
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`.text;
}

/** What went wrong, read out at once by screen readers; empty for nothing. */
export function problem(text: string | undefined): Html {
  return text === undefined ? markup`` : markup`<p class="problem" role="alert">${text}</p>`;
}
