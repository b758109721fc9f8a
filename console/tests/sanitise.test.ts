import assert from "node:assert/strict";
import { test } from "node:test";
import { sanitise } from "../src/sanitise.ts";

test("control characters, invisible format characters and lone surrogates are shown escaped", () => {
  for (const [given, shown] of [
    ["\u001b[31mred", "\\u{1b}[31mred"],
    ["a\u0000b\tc\nd\u007f", "a\\u{0}b\\u{9}c\\u{a}d\\u{7f}"],
    ["\u009b2J", "\\u{9b}2J"],
    ["user\u202egpj.exe", "user\\u{202e}gpj.exe"],
    ["\u2066x\u2069\u061c\u200e\u200f", "\\u{2066}x\\u{2069}\\u{61c}\\u{200e}\\u{200f}"],
    ["a\u2028b\u2029c", "a\\u{2028}b\\u{2029}c"],
    ["a\u00adb\u200bc\u200cd\u2060\ufeff", "a\\u{ad}b\\u{200b}c\\u{200c}d\\u{2060}\\u{feff}"],
    ["flag\u{e0067}\u{e007f}", "flag\\u{e0067}\\u{e007f}"],
    ["\ud83d \ude00", "\\u{d83d} \\u{de00}"],
  ] as const) {
    assert.equal(sanitise(given), shown);
  }
});

test("every C0, C1 and bidirectional control is covered", () => {
  const unsafe = [...range(0x00, 0x1f), ...range(0x7f, 0x9f), 0x61c, 0x200e, 0x200f, ...range(0x202a, 0x202e), ...range(0x2066, 0x2069)];
  for (const code of unsafe) assert.equal(sanitise(String.fromCodePoint(code)), `\\u{${code.toString(16)}}`);
});

test("ordinary text of any script is left alone", () => {
  const text = "naïve e\u0301 ❤\ufe0f — 日本語 עברית العربية 👩‍💻 😀 <b>&amp;</b>";
  assert.equal(sanitise(text), text);
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
