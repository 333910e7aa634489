import { expect, test } from 'vitest';
import { markup, page, pagePolicy, problem } from './page.ts';

test('values are escaped, HTML is not', () => {
  const inner = markup`<b>${'<script>"\'&'}</b>`;
  expect(markup`<p>${inner}</p>`.text).toBe('<p><b>&lt;script&gt;&quot;&#39;&amp;</b></p>');
});

test('a page loads nothing and allows no script', () => {
  const text = page('Log in', problem('<no>'));
  expect(text).toContain('<h1>Log in</h1>');
  expect(text).toContain('role="alert">&lt;no&gt;<');
  expect(text).not.toMatch(/<script|src=|href=|url\(|style="/);
  expect(pagePolicy).toMatch(/^default-src 'none'; style-src 'sha256-/);
});
