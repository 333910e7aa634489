/**
 * Completes the login of a terminal, as a person at a browser of the host it runs on. What it needs comes as JSON on
 * standard input: verificationUriComplete, email, password, and the PEM of the CA to believe.
 */
import { text } from 'node:stream/consumers';
import { completeDeviceLogin, openTestBrowser } from '@nexodus/standalone/testing';
import { z } from 'zod';

const wish = z
  .object({
    verificationUriComplete: z.string(),
    email: z.string(),
    password: z.string(),
    ca: z.string(),
  })
  .parse(JSON.parse(await text(process.stdin)));
const browser = openTestBrowser({ ca: wish.ca });
try {
  await completeDeviceLogin(browser, wish);
} finally {
  await browser.close();
}
