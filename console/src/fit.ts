/** How large the terminal's letters are, and where the panel beside it goes. Lengths are pixels. */
export interface Fit {
  fontSize: number;
  panel: "beside" | "below";
}

export interface Room {
  /** What the page offers to terminal and panel together. */
  width: number;
  /** What the window leaves for the terminal when everything else of the player stands below it. */
  height: number;
  columns: number;
  rows: number;
  /** The width of one cell at a font size of 1. */
  cellWidth: number;
  /** True where there is no panel, and letters may be of any size. */
  alone: boolean;
}

/** The height of a line, in font sizes: the player's own. */
export const LINE_HEIGHT = 4 / 3;
/** The terminal's border on all four sides, in font sizes: the player's own, doubled. */
export const BORDERS = 1.5;
/** The panel and the space before it. */
export const PANEL_WIDTH = 336;
/** Letters are not drawn larger than this. */
export const LARGEST_FONT = 20;
/** A terminal that would need smaller letters than these is scrolled sideways, in letters that are easy to read. */
export const SMALLEST_FONT = 8;
export const SCROLLED_FONT = 12;
/** A terminal gives up the panel beside it rather than have smaller letters than these. */
const COMFORTABLE_FONT = 13;
/** A tall terminal is scrolled with the page rather than drawn in smaller letters than these. */
const SMALLEST_FONT_FOR_HEIGHT = 12;

/**
 * The largest letters with which the whole terminal can be seen, within limits. The frame is then exactly as wide as the
 * terminal.
 */
export function fitTerminal(room: Room): Fit {
  const { width, height, columns, rows, cellWidth, alone } = room;
  if (alone) {
    const fontSize = Math.min(width / (columns * cellWidth + BORDERS), height / (rows * LINE_HEIGHT + BORDERS));
    return { fontSize: rounded(fontSize), panel: "beside" };
  }
  const byHeight = Math.max(height / (rows * LINE_HEIGHT + BORDERS), SMALLEST_FONT_FOR_HEIGHT);
  const byWidth = (offered: number): number => offered / (columns * cellWidth + BORDERS);
  const beside = Math.min(byWidth(width - PANEL_WIDTH), byHeight, LARGEST_FONT);
  const whole = Math.min(byWidth(width), byHeight, LARGEST_FONT);
  const panel = beside >= COMFORTABLE_FONT || beside === whole ? "beside" : "below";
  const fontSize = panel === "beside" ? beside : whole;
  return { fontSize: rounded(fontSize), panel };
}

/** To a tenth of a pixel; rounding up would make a scroll bar. */
function rounded(fontSize: number): number {
  return fontSize < SMALLEST_FONT ? SCROLLED_FONT : Math.floor(fontSize * 10) / 10;
}
