import assert from "node:assert/strict";
import { test } from "node:test";
import { endingOf, signalName } from "../src/ending.ts";

test("an exit status and a signal are named", () => {
  assert.equal(endingOf("finished", { code: 3 }).label, "exit 3");
  assert.equal(endingOf("finished", { code: 0 }).kind, "good");
  assert.equal(endingOf("finished", { code: 3 }).kind, "bad");
  assert.equal(endingOf("finished", { signal: 9 }).label, "ended by signal 9 (SIGKILL)");
  assert.equal(endingOf("finished", { signal: 99 }).label, "ended by signal 99");
  assert.equal(endingOf("finished", { words: "gone" }).label, "gone");
});

test("without an exit, the status says why there is none", () => {
  assert.equal(endingOf("running", null).label, "still running");
  assert.match(endingOf("interrupted", null).sentence, /cut off before the session ended/);
  assert.match(endingOf("failed", null).sentence, /failed/);
  assert.equal(endingOf("finished", null).label, "no exit status");
  assert.equal(endingOf("a status of tomorrow", null).label, "no exit status");
});

test("signals have the names that Linux gives them", () => {
  for (const [signal, name] of [[1, "SIGHUP"], [2, "SIGINT"], [9, "SIGKILL"], [11, "SIGSEGV"], [15, "SIGTERM"], [31, "SIGSYS"], [34, "SIGRTMIN"], [35, "SIGRTMIN+1"]] as const) {
    assert.equal(signalName(signal), name);
  }
  for (const none of [0, 32, 33, 65]) assert.equal(signalName(none), null);
});
