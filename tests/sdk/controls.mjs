// Opens a replay address in Debian's chromium with a recording of our own in place of the server's, and uses the page by
// keyboard. Prints one JSON line: {moved, playing, paused, help, focus, slider, problems}.
//
//     node controls.mjs ADDRESS CAST KEYS
//
// CAST is the text of the recording. KEYS is a JSON list of keys; `moved` has the position in seconds after each. `focus`
// has what the Tab key reaches, in order: its accessible name, and whether the focus can be seen.

import { launch, openPage } from './browser.mjs';

const [address, cast, keys] = process.argv.slice(2);
const browser = await launch();
try {
  const { page, problems } = await openPage(browser);
  await page.route((url) => url.pathname.endsWith('/cast'), (route) => route.fulfill({ status: 200, body: cast }));
  await page.goto(address);
  await page.waitForFunction(() => document.documentElement.dataset.state === 'ready');
  const playback = (wanted) => page.waitForFunction((state) => document.querySelector('#player').dataset.playback === state, wanted);
  const position = () => page.evaluate(() => globalThis.hansardReplay.currentMilliseconds() / 1000);
  // A seek has ended when the page says so; nothing moves while the player is paused.
  await page.evaluate(() => {
    globalThis.seeks = 0;
    document.querySelector('#player').addEventListener('hansard-seeked', () => (globalThis.seeks += 1));
  });
  const moved = [];
  for (const key of JSON.parse(keys)) {
    const before = await page.evaluate(() => globalThis.seeks);
    await page.keyboard.press(key);
    await page.waitForFunction((seeks) => globalThis.seeks > seeks, before);
    moved.push(await position());
  }
  const slider = await page.locator('#track').evaluate((track) => ({
    now: track.getAttribute('aria-valuenow'), most: track.getAttribute('aria-valuemax'), text: track.getAttribute('aria-valuetext'),
  }));
  await page.keyboard.press('Home');
  await page.keyboard.press('Space');
  await playback('playing');
  const playing = await page.locator('#play').getAttribute('aria-label');
  await page.keyboard.press('k');
  await playback('paused');
  const paused = await page.locator('#play').getAttribute('aria-label');
  await page.keyboard.press('?');
  const help = await page.locator('#keys').innerText();
  await page.keyboard.press('Escape');
  await page.evaluate(() => document.activeElement?.blur());
  const focus = [];
  for (let more = true; more && focus.length < 40; ) {
    await page.keyboard.press('Tab');
    const reached = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === null || element === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const name = element.getAttribute('aria-label') ?? element.textContent.trim();
      return { name, seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
    });
    more = reached !== null;
    if (reached !== null) focus.push(reached);
  }
  console.log(JSON.stringify({ moved, playing, paused, help, focus, slider, problems }));
} finally {
  await browser.close();
}
