import assert from "node:assert/strict";
import { test } from "node:test";
import { readReplayAddress } from "../src/replay-address.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const PATH = `/view/instance/record/replay/${TOKEN}`;

test("the token comes from the path and the ticket from the fragment", () => {
  assert.deepEqual(readReplayAddress({ pathname: PATH, hash: "#ticket=eyJhbGci.eyJzdWIi.c2ln-_" }), { token: TOKEN, ticket: "eyJhbGci.eyJzdWIi.c2ln-_" });
  assert.deepEqual(readReplayAddress({ pathname: `${PATH}/`, hash: "" }), { token: TOKEN, ticket: null });
  for (const hash of ["#", "#ticket", "#ticket=", "#other=1"]) {
    assert.equal(readReplayAddress({ pathname: PATH, hash }).ticket, null, hash);
  }
});

test("a path that names no token gives none, so that nothing odd is offered to be pasted into a shell", () => {
  for (const pathname of [
    "/",
    "/view/instance/record/replay/",
    `${PATH}/more`,
    `${PATH}0`,
    PATH.toUpperCase(),
    `/view/instance/record/replay/${TOKEN.slice(1)}%3b`,
    "/view/instance/record/replay/x;rm%20-rf%20~",
    `/prefix${PATH}`,
  ]) {
    assert.equal(readReplayAddress({ pathname, hash: "#ticket=t" }).token, null, pathname);
  }
});
