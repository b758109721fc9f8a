import assert from "node:assert/strict";
import { test } from "node:test";
import { shellWords } from "../src/shell-words.ts";

test("words are quoted where a shell would change them, and only there", () => {
  assert.equal(shellWords(["bash", "--norc", "-i"]), "bash --norc -i");
  assert.equal(shellWords(["sh", "-c", "echo a b; ls *"]), "sh -c 'echo a b; ls *'");
  assert.equal(shellWords(["echo", "it's", ""]), "echo 'it'\\''s' ''");
  assert.equal(shellWords([]), "");
});
