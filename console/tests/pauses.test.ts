import assert from "node:assert/strict";
import { test } from "node:test";
import type { PlayedEvent } from "../src/cast.ts";
import { withoutPauses, withPauses } from "../src/pauses.ts";

const EVENTS: PlayedEvent[] = [
  [500, "o", "a"],
  [60_500, "o", "b"],
  [61_000, "m", "gap"],
  [71_000, "o", "c"],
];

test("pauses beyond the limit are cut to it, shorter ones are left", () => {
  assert.deepEqual(
    withoutPauses(EVENTS, 1000).events.map(([time]) => time),
    [500, 1500, 2000, 3000],
  );
  assert.deepEqual(withPauses(EVENTS).events, EVENTS);
});

test("every event's time is found again in both directions", () => {
  const timeline = withoutPauses(EVENTS, 1000);
  EVENTS.forEach(([recorded], index) => {
    const played = timeline.events[index]?.[0] ?? Number.NaN;
    assert.equal(timeline.toPlayed(recorded), played);
    assert.equal(timeline.toRecorded(played), recorded);
  });
});

test("the way to played times never runs backwards", () => {
  const timeline = withoutPauses(EVENTS, 1000);
  let previous = 0;
  for (let recorded = 0; recorded <= 72_000; recorded += 100) {
    const played = timeline.toPlayed(recorded);
    assert.ok(played >= previous, `at ${recorded}`);
    previous = played;
  }
});
