import assert from "node:assert/strict";
import { test } from "node:test";

import type { Shortfall } from "../src/cast.ts";
import { readRecording } from "../src/recording.ts";
import { ledgerSentence, shortfallSentence, shortfallsTitle } from "../src/shortfalls.ts";

function shortfall(kind: string, isLoss: boolean, more: Partial<Shortfall> = {}): Shortfall {
  return { milliseconds: 61_000, kind, isLoss, reason: "why", lostBytes: null, count: 1, ...more };
}

test("a loss says that output is missing, and a limit does not", () => {
  assert.equal(shortfallSentence(shortfall("gap", true, { lostBytes: 42 })), "Output is missing at 01:01: why (42 bytes lost)");
  assert.equal(shortfallSentence(shortfall("rate limit", true, { count: 3 })), "Rate limit, so that output is missing, 3 times at 01:01: why");
  assert.equal(shortfallSentence(shortfall("degraded mode", false)), "Degraded mode at 01:01: why");
});

test("the heading says whether anything is lost", () => {
  const [gap, drop, limit] = [shortfall("gap", true), shortfall("drop", true), shortfall("stated limit", false)];
  assert.equal(shortfallsTitle([gap]), "A gap in the recording");
  assert.equal(shortfallsTitle([gap, gap]), "2 gaps in the recording");
  assert.equal(shortfallsTitle([gap, drop]), "2 losses in the recording");
  assert.equal(shortfallsTitle([gap, limit]), "2 losses and limits in the recording");
  assert.equal(shortfallsTitle([limit, limit]), "Limits of the recording");
});

test("the ledger of all streams is one fact, and what is not known is none", () => {
  const ledger = [
    { Kind: "gap", Count: 3, FirstAtMillis: 1000, LastAtMillis: 61_000, LostBytes: 42 },
    { Kind: "stated_limit", Count: 1, FirstAtMillis: 61_000, LastAtMillis: 61_000 },
    { Kind: "<b>", Count: -1 },
  ];
  const read = readRecording({ Ledger: ledger }).ledger;
  assert.ok(read !== null);
  assert.equal(ledgerSentence(read), "gap 3 times, from 00:01 to 01:01, 42 bytes lost; stated limit, at 01:01; gap, at 00:00");
  assert.equal(ledgerSentence([]), "None");
  assert.equal(readRecording({}).ledger, null);
});
