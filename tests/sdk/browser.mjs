// What the scripts that use Debian's chromium share.

import { chromium } from 'playwright-core';

/** Starts the browser. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
}

/**
 * A page of a window of its own, and whatever the browser complains about from then on: script errors, refused content,
 * failed requests of the page's own.
 */
export async function openPage(browser, width = 1280) {
  const page = await (await browser.newContext({ viewport: { width, height: 960 } })).newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console: ${message.text()}`);
  });
  return { page, problems };
}
