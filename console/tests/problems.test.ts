import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE_CODES, problemOf, ReplayFailure, whyNoSession } from "../src/problems.ts";

/** The codes that the server's replay calls answer with, and those of the page itself. */
const CODES = [
  ...Object.values(PAGE_CODES),
  "Forbidden.RAM",
  "InstanceRecord.EvidenceChanged",
  "InstanceRecord.Expired",
  "InternalError",
  "InvalidAction.NotFound",
  "InvalidParameter",
  "InvalidTerminalSessionToken.NotFound",
  "ObjectNotFound",
  "RequestEntityTooLarge",
  "ServiceUnavailable",
  "Throttling.User",
  "UnsupportedHTTPMethod",
  "a code of tomorrow",
];

test("every problem says what happened and what to do, in sentences", () => {
  for (const code of CODES) {
    const { title, happened, advice } = problemOf(new ReplayFailure(400, code, "", null));
    assert.match(title, /^[A-Z][^.]+$/, code);
    for (const text of [happened, advice]) assert.match(text, /^[A-Z].+\.$/, code);
    assert.doesNotMatch(happened.replaceAll("WebAssembly", ""), /ViewInstanceRecords|[A-Z][a-z]+[A-Z]|HTTP/, `${code}: no names of calls where people read what happened`);
  }
});

test("what passes by itself can be tried again", () => {
  for (const [status, code, again] of [
    [null, PAGE_CODES.unreachable, true],
    [200, PAGE_CODES.interrupted, true],
    [429, "Throttling.User", true],
    [503, "ServiceUnavailable", true],
    [502, "HTTP 502", true],
    [403, "Forbidden.RAM", false],
    [403, "InstanceRecord.Expired", false],
    [404, "InvalidTerminalSessionToken.NotFound", false],
  ] as const) {
    assert.equal(problemOf(new ReplayFailure(status, code, "", null)).canTryAgain, again, code);
  }
});

test("only an expired recording is called expired", () => {
  assert.equal(problemOf(new ReplayFailure(403, "InstanceRecord.Expired", "", null)).kind, "expired");
  assert.equal(problemOf(new ReplayFailure(403, "Forbidden.RAM", "", null)).kind, "error");
});

test("details carry the server's words, made safe", () => {
  const { details } = problemOf(new ReplayFailure(500, "Odd\u202e", "why\u0007", "id"));
  assert.deepEqual(details, [
    { name: "Code", value: "Odd\\u{202e}" },
    { name: "Reason", value: "why\\u{7}" },
    { name: "RequestId", value: "id" },
  ]);
});

test("a link that was not accepted says why", () => {
  const refused = (code: string): string => whyNoSession(new ReplayFailure(401, code, "server's words\u0007", null), true);
  assert.match(refused("InvalidReplayTicket.Expired"), /expired/);
  assert.match(refused("InvalidReplayTicket.Used"), /used before/);
  assert.match(refused("InvalidReplayTicket"), /not valid/);
  assert.match(refused("other"), /server's words\\u\{7\}$/);
  assert.match(whyNoSession(null, true), /cookie/);
  assert.equal(whyNoSession(null, false), "");
});
