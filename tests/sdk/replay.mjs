// Opens a replay address in Debian's chromium, goes to the end of the recording and prints what the page shows, as one
// JSON line: {state, address, lines, status, title, failure, command, gaps, exit, problems, ...}.
//
//     node replay.mjs ADDRESS [WIDTH] [FAILS]
//
// WIDTH is that of the window, in pixels. FAILS is a JSON object of what the server does not do as it should: by a part
// of an address, either "abort" or {status, body}.
//
// HANSARD_TEST_SCREENSHOT names a file that keeps a picture of a page that plays.

import { launch, openPage } from './browser.mjs';

const [address, width = '1280', fails = '{}'] = process.argv.slice(2);
const screenshot = process.env.HANSARD_TEST_SCREENSHOT;
const browser = await launch();
try {
  const { page, problems } = await openPage(browser, Number(width));
  for (const [part, how] of Object.entries(JSON.parse(fails))) {
    await page.route((url) => url.pathname.endsWith(part), (route) => (how === 'abort' ? route.abort() : route.fulfill(how)));
  }
  await page.goto(address);
  await page.waitForFunction(() => (document.documentElement.dataset.state ?? 'loading') !== 'loading');
  const state = await page.evaluate(() => document.documentElement.dataset.state);
  let lines = [];
  if (state === 'ready' && await page.locator('#player').isVisible()) {
    await page.evaluate(() => globalThis.hansardReplay.seek(globalThis.hansardReplay.durationMilliseconds()));
    const read = () => page.$$eval('#player .ap-line', (found) => found.map((line) => line.textContent.trimEnd()));
    // The screen is drawn frame by frame: it stands when several frames in a row show the same.
    for (let same = 0, before = ''; same < 5; ) {
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      lines = await read();
      same = JSON.stringify(lines) === before ? same + 1 : 0;
      before = JSON.stringify(lines);
    }
  }
  const text = async (selector) => {
    const found = page.locator(selector);
    return (await found.count()) > 0 && (await found.first().isVisible()) ? (await found.first().innerText()).trim() : null;
  };
  // Cells are told apart by where they stand, in cells from the left.
  const cells = await page.$$eval('#player .ap-line', (found) => {
    const cell = document.querySelector('.ap-term-text').clientWidth / Number(document.querySelector('.ap-term').style.getPropertyValue('--term-cols'));
    return found.map((line) => {
      const texts = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
      let right = 0;
      for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
        const end = text.data.trimEnd().length;
        if (end === 0) continue;
        // In a cell of its own, what is drawn may be wider than the cell.
        const own = text.parentElement.closest('bdi');
        const range = document.createRange();
        range.setStart(text, 0);
        range.setEnd(text, end);
        right = (own ?? range).getBoundingClientRect().right;
      }
      return right === 0 ? 0 : Math.round((right - line.getBoundingClientRect().left) / cell);
    });
  }).catch(() => []);
  const measured = await page.evaluate(() => ({
    window: innerWidth,
    document: document.documentElement.scrollWidth,
    frame: document.querySelector('#stage')?.clientWidth,
    terminal: document.querySelector('.ap-term')?.offsetWidth,
  }));
  const shown = {
    state, lines, problems, cells, measured,
    address: page.url(),
    title: await text('#title'),
    status: await text('#status'),
    facts: await text('#facts'),
    failure: await text('#failure-message'),
    command: await text('#open-command'),
    gaps: await text('#gap-list'),
    exit: await text('#exit'),
    notices: await text('#notices'),
    reason: await text('#missing-session-reason'),
    advice: await text('#failure-advice'),
    clock: await text('.clock'),
    size: await text('#terminal-size'),
  };
  if (screenshot && state === 'ready') await page.screenshot({ path: screenshot, fullPage: true });
  console.log(JSON.stringify(shown));
} finally {
  await browser.close();
}
