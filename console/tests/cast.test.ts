import assert from "node:assert/strict";
import { test } from "node:test";
import { BadCast, type Cast, CastReader, LARGEST_COLUMNS, LARGEST_ROWS } from "../src/cast.ts";

const HEADER = '{"version":2,"width":100,"height":30,"timestamp":1763635358}';

function read(...lines: string[]): Cast {
  const reader = new CastReader();
  reader.push(lines.map((line) => `${line}\n`).join(""));
  const cast = reader.finish();
  assert.notEqual(cast, null);
  return cast as Cast;
}

test("output, resizes and markers reach the player in milliseconds", () => {
  const cast = read(HEADER, '[0.250000,"o","$ "]', '[1.5,"r","120x40"]', '[2,"m","chapter"]');
  assert.deepEqual([cast.columns, cast.rows], [100, 30]);
  assert.deepEqual(cast.events, [
    [250, "o", "$ "],
    [1500, "r", "120x40"],
    [2000, "m", "chapter"],
  ]);
  assert.equal(cast.durationMilliseconds, 2000);
  assert.equal(cast.damage, null);
});

test("a recording reads the same however its bytes are split", () => {
  const whole = `${HEADER}\n[0.1,"o","caf\u00e9"]\n[0.2,"g",{"reason":"spool full","lost_bytes":7}]\n[0.3,"x","0"]\n`;
  const expected = read(...whole.trimEnd().split("\n"));
  for (let cut = 0; cut <= whole.length; cut += 1) {
    const reader = new CastReader();
    reader.push(whole.slice(0, cut));
    reader.push(whole.slice(cut));
    assert.deepEqual(reader.finish(), expected, `cut at ${cut}`);
  }
});

test("exact bytes, input and unknown codes are not played", () => {
  const cast = read(HEADER, '[0,"o","\\ufffd"]', '[0,"b","/w=="]', '[0.1,"i","secret"]', '[0.2,"z",{"any":1}]');
  assert.deepEqual(
    cast.events.map(([, code, content]) => [code, content]),
    [["o", "\ufffd"], ["o", ""]],
  );
});

test("output to standard error is played like any other", () => {
  const cast = read(HEADER, '[0,"o","out\\n"]', '[1,"o","\\ufffd"]', '[1,"b","/w=="]', '[1,"e",""]', '[2,"o","more"]');
  assert.deepEqual(cast.events, [
    [0, "o", "out\n"],
    [1000, "o", "\ufffd"],
    [2000, "o", "more"],
  ]);
  assert.equal(cast.damage, null);
});

/** A gap that says no kind. */
function gap(milliseconds: number, reason: string, lostBytes: number | null = null) {
  return { milliseconds, kind: "gap", isLoss: true, reason, lostBytes, count: 1 };
}

test("a gap is listed and marks the time line", () => {
  const cast = read(HEADER, '[12,"g",{"reason":"disk full","lost_bytes":4096}]', '[13,"g","{\\"reason\\":\\"as text\\"}"]');
  assert.deepEqual(cast.shortfalls, [gap(12000, "disk full", 4096), gap(13000, "as text")]);
  assert.deepEqual(cast.events, [
    [12000, "m", "gap: disk full"],
    [13000, "m", "gap: as text"],
  ]);
});

test("an oddly worded gap is still a gap", () => {
  const cast = read(HEADER, '[1,"g",null]', '[2,"g","{"]', '[3,"g",{"reason":{"code":3},"lost_bytes":-1}]', '[4,"g",{"reason":"r","lost_bytes":0}]');
  assert.deepEqual(cast.shortfalls, [gap(1000, "no reason was recorded"), gap(2000, "{"), gap(3000, '{"code":3}'), gap(4000, "r")]);
});

test("every kind of shortfall is told apart, and none takes a word of the recording's making for its kind", () => {
  const line = (code: string, kind: string) => JSON.stringify([1, code, JSON.stringify({ reason: "r", lost_bytes: 7, kind, cause: "c", count: 3 })]);
  for (const [code, kind, words, isLoss] of [
    ["g", "gap", "gap", true],
    ["g", "drop", "drop", true],
    ["g", "truncation", "truncation", true],
    ["g", "rate_limit", "rate limit", true],
    ["l", "stated_limit", "stated limit", false],
    ["l", "degraded_mode", "degraded mode", false],
    ["g", "constructor", "gap", true],
    ["l", "nothing at all", "limit", false],
    // What is a loss by its code is one, whatever it calls itself.
    ["g", "stated_limit", "gap", true],
  ] as const) {
    const cast = read(HEADER, line(code, kind));
    assert.deepEqual(cast.shortfalls, [{ milliseconds: 1000, kind: words, isLoss, reason: "r", lostBytes: 7, count: 3 }]);
    assert.deepEqual(cast.events[0], [1000, "m", `${words}: r`]);
  }
});

test("the exit status holds the player open until the recording's end", () => {
  const cast = read(HEADER, '[1,"o","bye"]', '[9,"x","130"]');
  assert.deepEqual(cast.exit, { code: 130 });
  assert.equal(cast.durationMilliseconds, 9000);
  assert.deepEqual(cast.events.at(-1), [9000, "o", ""]);
});

test("an exit is a code, a signal or words, as text or as JSON", () => {
  for (const [content, exit] of [
    ['"0"', { code: 0 }],
    ["0", { code: 0 }],
    ['{"code":3}', { code: 3 }],
    ['"{\\"code\\":3}"', { code: 3 }],
    ['"-9"', { signal: 9 }],
    ["-15", { signal: 15 }],
    ["-1.5", { words: "-1.5" }],
    ['{"signal":9}', { signal: 9 }],
    ['"killed"', { words: "killed" }],
    ['{"why":1}', { words: '{"why":1}' }],
    ["null", { words: "null" }],
  ] as const) {
    assert.deepEqual(read(HEADER, `[1,"x",${content}]`).exit, exit, content);
  }
});

test("a line that cannot be read ends what is played and is named", () => {
  for (const [line, why] of [
    ["[1.0,", /not a JSON array/],
    ['{"time":1}', /not a JSON array/],
    ['["1","o","x"]', /time/],
    ['[-1,"o","x"]', /time/],
    ['[0.4,"o","x"]', /before that of the line above/],
    ['[1,7,"x"]', /event code/],
    ['[1,"o",5]', /"o" event/],
    ['[1,"r","80"]', /80x24/],
    ['[1,"r","1e3x20"]', /80x24/],
  ] as const) {
    const cast = read(HEADER, '[0.5,"o","kept"]', line, '[2,"o","not shown"]');
    assert.equal(cast.damage?.line, 3, line);
    assert.match(cast.damage?.why ?? "", why);
    assert.deepEqual(cast.events, [[500, "o", "kept"]], line);
  }
});

test("bidirectional controls in output are dropped and take no cell", () => {
  assert.deepEqual(read(HEADER, '[1,"o","a\\u202eb\\u2069\\u001b[31m"]', '[2,"m","x\\u202e"]').events, [
    [1000, "o", "ab\u001b[31m"],
    [2000, "m", "x\\u{202e}"],
  ]);
});

test("a mark joins its character across outputs, whatever stands between them", () => {
  const cast = read(HEADER, '[1,"o","cafe"]', '[1.5,"e",""]', '[2,"r","90x20"]', '[3,"o","\\u0301!"]', '[4,"o","\\u0301"]');
  const outputs = cast.events.filter(([, code]) => code === "o").map(([, , content]) => content);
  assert.deepEqual(outputs.slice(0, 2), ["caf\u00e9", standIn(cast, "!\u0301")]);
});

function standIn(cast: Cast, cell: string): string {
  const found = cast.standIns.standInFor(cell, false);
  assert.notEqual(found, null);
  return found as string;
}

test("a header that is not asciicast version 2 is refused with the reason", () => {
  for (const [header, why] of [
    ["<!doctype html>", /not a JSON object/],
    ["[]", /not a JSON object/],
    ['{"version":3}', /version 3/],
    ['{"version":2,"width":"80","height":24}', /terminal size/],
    ['{"version":2,"width":80.5,"height":24}', /terminal size/],
    ['{"version":2,"width":-80,"height":24}', /terminal size/],
  ] as const) {
    assert.throws(
      () => read(header),
      (problem) => problem instanceof BadCast && why.test(problem.message),
      header,
    );
  }
});

test("an empty recording is null, a header alone has no events", () => {
  const reader = new CastReader();
  reader.push("\n\n");
  assert.equal(reader.finish(), null);
  assert.deepEqual(read(HEADER).events, []);
});

test("an unknown size is 80 x 24, an absurd one is limited and said", () => {
  assert.deepEqual([read('{"version":2,"width":0,"height":0}').columns, read('{"version":2,"width":0,"height":0}').rows], [80, 24]);
  const cast = read('{"version":2,"width":4000000000,"height":50}', '[1,"r","5x999999999"]');
  assert.deepEqual([cast.columns, cast.rows, cast.tooLarge], [LARGEST_COLUMNS, 50, { columns: 4_000_000_000, rows: 999_999_999 }]);
  assert.deepEqual(cast.events, [[1000, "r", `5x${LARGEST_ROWS}`]]);
  assert.equal(read(HEADER).tooLarge, null);
  const large = read('{"version":2,"width":1200,"height":24}', '[1,"r","1000x400"]');
  assert.deepEqual([large.columns, large.events[0]?.[2], large.tooLarge], [1200, "1000x300", { columns: 1000, rows: 400 }]);
});
