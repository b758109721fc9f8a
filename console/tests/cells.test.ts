import assert from "node:assert/strict";
import { test } from "node:test";
import { CellJoiner, STAND_IN, StandIns } from "../src/cells.ts";
import { isWide } from "../src/wide.ts";

/** The output as the terminal model gets it, with each stand-in shown as `<cell:columns>`. */
function joined(...outputs: string[]): string[] {
  const stands = new StandIns();
  const joiner = new CellJoiner(stands);
  const texts: string[] = [];
  let base = -1;
  for (const output of outputs) {
    const { text, amended, baseIsHere } = joiner.read(output);
    if (amended !== null) texts[base] = amended;
    if (baseIsHere) base = texts.length;
    texts.push(text);
  }
  return texts.map((text) =>
    [...text]
      .map((character) => {
        const stoodFor = stands.cellOf(character.codePointAt(0) ?? 0);
        return stoodFor === null ? character : `<${stoodFor.cell}:${stoodFor.columns}>`;
      })
      .join(""),
  );
}

test("a character and its marks are one code point where Unicode has one", () => {
  assert.deepEqual(joined("Re\u0301sume\u0301 cafe\u0301|"), ["Résumé café|"]);
  // Hangul that was typed letter by letter.
  assert.deepEqual(joined("\u1112\u1161\u11ab"), ["한"]);
});

test("a mark of half-width katakana fills a cell of its own, as in terminals", () => {
  assert.deepEqual(joined("ｶ\uff9e"), ["ｶ\uff9e"]);
});

test("where Unicode has none, one code point stands for them, as wide as the character", () => {
  assert.deepEqual(joined("xe\u0301\u0302|"), ["x<e\u0301\u0302:1>|"]);
  assert.deepEqual(joined("❤\ufe0f ok"), ["<❤\ufe0f:1> ok"]);
  assert.deepEqual(joined("1\ufe0f\u20e3"), ["<1\ufe0f\u20e3:1>"]);
  assert.deepEqual(joined("👨\u200d👩\u200d👧|"), ["<👨\u200d:2><👩\u200d:2>👧|"]);
  assert.deepEqual(joined("漢\u0301"), ["<漢\u0301:2>"]);
});

test("the same cell is stood for by the same code point, and another by another", () => {
  const stands = new StandIns();
  const first = stands.standInFor("x\u0301", false);
  assert.equal(stands.standInFor("x\u0301", false), first);
  assert.notEqual(stands.standInFor("x\u0302", false), first);
  assert.match(first ?? "", STAND_IN);
});

test("misleading characters are dropped and take no cell", () => {
  assert.deepEqual(joined("soft\u00adhyphen a\u202eb\u2066c\u2069\u200b\u200c\u200f\ufeff\u{e0067}d"), ["softhyphen abcd"]);
});

test("inside an escape sequence nothing joins, and nothing misleading gets through", () => {
  assert.deepEqual(joined("a\u001b]0;ti\u202etle\u0301\u0007b"), ["a\u001b]0;ti\ufffdtle\u0301\u0007b"]);
  assert.deepEqual(joined("a\u001b[1", ";31m", "\u0301"), ["á\u001b[1", ";31m", ""], "colours do not part a mark from its character");
  assert.deepEqual(joined("a\u001b]8;;x\u001b\\\u0301"), ["á\u001b]8;;x\u001b\\"], "nor does the end of a string");
});

test("a mark with nothing before it takes no cell", () => {
  for (const output of ["\u0301", "a\r\n\u0301", "a\u001b[5;5H\u0301", "a\u001b[?25l\u0301", "a\u001b7\u0301", "a\b\u0301", "a\u001b[\u0018\u0301"]) {
    assert.deepEqual(joined(output), [output.replace("\u0301", "")], JSON.stringify(output));
  }
});

test("marks join across outputs", () => {
  assert.deepEqual(joined("cafe", "\u0301", "\u0302!"), ["caf<e\u0301\u0302:1>", "", "!"]);
  assert.deepEqual(joined("e", "\u0301x\u0301"), ["é", "<x\u0301:1>"]);
});

test("marks without end do not pile up", () => {
  const [text] = joined(`e${"\u0302\u0323".repeat(500)}|`);
  assert.ok((text?.length ?? 0) < 30, text);
  assert.ok(text?.endsWith(":1>|"), text);
});

test("a session that prints stand-ins itself prints what it printed", () => {
  assert.deepEqual(joined("\u{100000}\u{3a000}e\u0301\u0302"), ["<\u{100000}:1><\u{3a000}:2><e\u0301\u0302:1>"]);
});

test("when no code point is left, characters stay without their marks", () => {
  const stands = new StandIns();
  for (let number = 0; stands.standInFor(`x${number}`, false) !== null; number += 1);
  assert.equal(new CellJoiner(stands).read("e\u0301\u0302y\u0323\u0302").text, "éỵ");
});

test("wide characters are those of the terminal model", () => {
  for (const wide of ["漢", "한", "👧", "⚡", "Ａ", "\u{3a000}"]) assert.equal(isWide(wide.codePointAt(0) ?? 0), true, wide);
  for (const narrow of ["a", "é", "⚠", "❤", "\u{100000}", "🇩"]) assert.equal(isWide(narrow.codePointAt(0) ?? 0), false, narrow);
});
