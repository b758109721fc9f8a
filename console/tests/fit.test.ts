import assert from "node:assert/strict";
import { test } from "node:test";
import { BORDERS, fitTerminal, LARGEST_FONT, LINE_HEIGHT, PANEL_WIDTH, type Room, SCROLLED_FONT } from "../src/fit.ts";

const ROOM: Room = { width: 1240, height: 480, columns: 80, rows: 24, cellWidth: 0.6, alone: false };

function widthOf({ columns, cellWidth }: Room, fontSize: number): number {
  return fontSize * (columns * cellWidth + BORDERS);
}

test("an ordinary terminal is seen whole, with the panel beside it", () => {
  const fit = fitTerminal(ROOM);
  assert.equal(fit.panel, "beside");
  assert.ok(fit.fontSize * (ROOM.rows * LINE_HEIGHT + BORDERS) <= ROOM.height);
  assert.ok(widthOf(ROOM, fit.fontSize) <= ROOM.width - PANEL_WIDTH);
});

test("a wide terminal gets the whole width", () => {
  const room = { ...ROOM, columns: 160, height: 900 };
  const fit = fitTerminal(room);
  assert.equal(fit.panel, "below");
  assert.ok(widthOf(room, fit.fontSize) <= room.width && widthOf(room, fit.fontSize) > room.width - 12);
});

test("letters are neither huge nor too small to read", () => {
  assert.equal(fitTerminal({ ...ROOM, columns: 10, rows: 3 }).fontSize, LARGEST_FONT);
  assert.equal(fitTerminal({ ...ROOM, columns: 1000, height: 900 }).fontSize, SCROLLED_FONT);
  assert.equal(fitTerminal({ ...ROOM, width: 366 }).fontSize, SCROLLED_FONT);
  assert.ok(fitTerminal({ ...ROOM, height: -50 }).fontSize >= 12, "a low window is scrolled");
});

test("alone on the screen a terminal is as large as it can be", () => {
  const room = { ...ROOM, height: 2000, alone: true };
  const { fontSize } = fitTerminal(room);
  assert.ok(fontSize > LARGEST_FONT && widthOf(room, fontSize) <= room.width);
});
