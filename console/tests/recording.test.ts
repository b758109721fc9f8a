import assert from "node:assert/strict";
import { test } from "node:test";
import { readRecording } from "../src/recording.ts";

const SAME_USER =
  "A process of the recorded user or within their reach, who could have ended, altered or invented it (same-user).";

test("the reply's fields are read, and further ones are ignored", () => {
  assert.deepEqual(
    readRecording({
      RequestId: "r",
      InstanceId: "i-1",
      Status: "finished",
      StartTime: "2026-11-20T10:00:00Z",
      RecordDurationMillis: 1200,
      ExpireTime: "2026-12-20T10:00:01Z",
      Command: ["sh", "-c", "echo 'a b'; exit"],
      ClaimedUser: "root",
      Recorder: "same-user",
      StoredBytes: 77,
      Columns: 80,
    }),
    {
      instanceId: "i-1",
      status: "finished",
      startTime: "2026-11-20T10:00:00Z",
      durationMilliseconds: 1200,
      expireTime: "2026-12-20T10:00:01Z",
      command: "sh -c 'echo '\\''a b'\\''; exit'",
      claimedUser: "root",
      recorder: SAME_USER,
      ledger: null,
    },
  );
});

test("a reply of any shape gives a recording, never an exception", () => {
  for (const reply of [null, 3, "text", [], {}, { Command: { a: 1 }, RecordDurationMillis: "long", InstanceId: ["x"] }]) {
    const recording = readRecording(reply);
    assert.equal(recording.instanceId, "");
    assert.equal(recording.command, "");
    assert.equal(recording.durationMilliseconds, null);
    assert.equal(recording.recorder, SAME_USER, "what is not said is not taken for better");
  }
});
