import assert from "node:assert/strict";
import { test } from "node:test";
import { activityOf } from "../src/activity.ts";
import type { PlayedEvent } from "../src/cast.ts";

test("more output is a higher level, and none is none", () => {
  const events: PlayedEvent[] = [[0, "o", "x"], [1000, "o", "x".repeat(5000)], [2500, "r", "80x24"], [3999, "o", "ab"]];
  const { levels, idle } = activityOf(events, 4000, 4);
  assert.deepEqual([levels[1], levels[2]], [5, 0]);
  assert.ok((levels[0] ?? 0) >= 1 && (levels[0] ?? 0) < 5 && (levels[3] ?? 0) >= 1);
  assert.deepEqual(idle, [{ from: 1000, until: 3999 }]);
});

test("idle are stretches that can be seen on the line, the last one among them", () => {
  const events: PlayedEvent[] = [[0, "o", "x"], [3000, "o", "x"], [60_000, "o", "x"]];
  assert.deepEqual(activityOf(events, 200_000, 10).idle, [{ from: 3000, until: 60_000 }, { from: 60_000, until: 200_000 }]);
});

test("a recording without length or output has no activity", () => {
  assert.deepEqual(activityOf([[0, "o", "x"]], 0, 2).levels, [5, 0]);
  assert.deepEqual(activityOf([], 0, 2), { levels: [0, 0], idle: [] });
});
