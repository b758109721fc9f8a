// Visits an address with Debian's chromium and prints what a reader sees, as one JSON line:
// {status, title, text, contents, problems}. `contents` has the text of each element that SELECTOR finds, once there is one.
//
//     node visit.mjs ADDRESS [SELECTOR] [CLICKED]
//
// CLICKED selects elements to click on before that. HANSARD_TEST_SCREENSHOT names a file that keeps a picture.

import { launch, openPage } from './browser.mjs';

const [address, selector, clicked] = process.argv.slice(2);
const browser = await launch();
try {
  const { page, problems } = await openPage(browser);
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
