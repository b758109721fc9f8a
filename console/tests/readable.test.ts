import assert from "node:assert/strict";
import { test } from "node:test";
import { readableBytes, readableClock, readableDuration, readableInstant, readablePosition, spokenDuration } from "../src/readable.ts";

test("instants are written in UTC, and what is not one is not guessed", () => {
  assert.equal(readableInstant("2026-11-20T10:42:38Z"), "20 Nov 2026, 10:42:38 UTC");
  assert.equal(readableInstant("2026-01-01T01:00:00+02:00"), "31 Dec 2025, 23:00:00 UTC");
  assert.equal(readableInstant("soon"), null);
  assert.equal(readableInstant(""), null);
});

test("durations, positions and sizes", () => {
  assert.deepEqual([0, 850, 12_400, 185_000, 7_385_000].map(readableDuration), ["0 ms", "850 ms", "12 s", "3 min 05 s", "2 h 03 min 05 s"]);
  assert.deepEqual([0, 12_900, 3_723_000].map(readablePosition), ["00:00", "00:12", "1:02:03"]);
  assert.deepEqual([0, 1, 999, 1400, 38_000_000, 2_500_000_000].map(readableBytes), ["0 bytes", "1 byte", "999 bytes", "1.4 kB", "38.0 MB", "2.5 GB"]);
});

test("a clock and a length that is read out", () => {
  assert.equal(readableClock(Date.UTC(2026, 10, 20, 9, 5, 7)), "09:05:07 UTC");
  assert.equal(readableClock(Number.MAX_VALUE), "");
  assert.deepEqual([0, 1000, 62_000, 7_385_000].map(spokenDuration), ["0 seconds", "1 second", "1 minute 2 seconds", "2 hours 3 minutes 5 seconds"]);
});
