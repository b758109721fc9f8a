// Visits an address with Debian's chromium and prints what a reader sees, as one JSON line:
// {status, title, text, contents, problems}. `contents` has the text of each element that SELECTOR finds, once there is one.
//
//     node visit.mjs ADDRESS [SELECTOR] [CLICKED]
//
// CLICKED selects elements to click on before that. HANSARD_TEST_SCREENSHOT names a file that keeps a picture.

import { chromium } from 'playwright-core';

const [address, selector, clicked] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});
try {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 960 } })).newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console: ${message.text()}`);
  });
  const response = await page.goto(address);
  if (clicked) {
    await page.locator(clicked).first().waitFor();
    for (const element of await page.locator(clicked).all()) await element.click();
  }
  if (selector) await page.locator(selector).first().waitFor();
  const shown = {
    status: response.status(),
    title: await page.title(),
    text: await page.locator('body').innerText(),
    contents: selector ? await page.locator(selector).allInnerTexts() : [],
    problems,
  };
  if (process.env.HANSARD_TEST_SCREENSHOT) await page.screenshot({ path: process.env.HANSARD_TEST_SCREENSHOT, fullPage: true });
  console.log(JSON.stringify(shown));
} finally {
  await browser.close();
}
