// Opens a replay address in Debian's chromium and prints the screens that the page draws, as one JSON line:
// {first, seeked, recreated, played, problems}. A screen is a list of lines without trailing blanks.
//
//     node screens.mjs ADDRESS MOMENTS
//
// MOMENTS is a JSON list of milliseconds. `first` is the screen before anything was pressed; `seeked` has one screen
// for each moment, sought in the given order; `recreated` the last moment's with another speed and with shortened
// pauses, for which the page makes its player anew; `played` each screen that playing from the beginning goes through.
//
// HANSARD_TEST_SCREENSHOT names a folder that keeps a picture of each moment.

import { launch, openPage } from './browser.mjs';

const [address, moments] = process.argv.slice(2);
const pictures = process.env.HANSARD_TEST_SCREENSHOT;
const browser = await launch();
try {
  const { page, problems } = await openPage(browser);
  await page.goto(address);
  await page.waitForFunction(() => document.documentElement.dataset.state === 'ready');
  // A screen stands when several frames in a row show the same.
  const settled = () => page.evaluate(async () => {
    const lines = () => [...document.querySelectorAll('#player .ap-line')].map((line) => line.textContent.trimEnd());
    let screen = [];
    for (let same = 0, before = ''; same < 3; ) {
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      screen = lines();
      same = JSON.stringify(screen) === before ? same + 1 : 0;
      before = JSON.stringify(screen);
    }
    return screen;
  });
  const first = await settled();
  const seeked = [];
  for (const moment of JSON.parse(moments)) {
    await page.evaluate((at) => globalThis.hansardReplay.seek(at), moment);
    seeked.push(await settled());
    if (pictures) await page.screenshot({ path: `${pictures}/${String(seeked.length).padStart(3, '0')}.png` });
  }
  await page.evaluate(() => globalThis.hansardReplay.changeSpeed(0.25));
  const recreated = [await settled()];
  await page.evaluate(() => globalThis.hansardReplay.shortenPauses(true));
  recreated.push(await settled());
  await page.evaluate(() => globalThis.hansardReplay.shortenPauses(false));
  const played = await page.evaluate(async () => {
    await globalThis.hansardReplay.seek(0);
    await globalThis.hansardReplay.play();
    const found = [];
    const player = document.querySelector('#player');
    for (let last = '', after = 0; after < 5; ) {
      await new Promise((done) => requestAnimationFrame(done));
      const screen = [...player.querySelectorAll('.ap-line')].map((line) => line.textContent.trimEnd());
      if (JSON.stringify(screen) !== last) found.push(screen);
      last = JSON.stringify(screen);
      // The last events are drawn a frame after the player says that it has ended.
      if (player.dataset.playback === 'ended') after += 1;
    }
    return found;
  });
  console.log(JSON.stringify({ first, seeked, recreated, played, problems }));
} finally {
  await browser.close();
}
