import { CellJoiner, StandIns } from "./cells.ts";
import { sanitise } from "./sanitise.ts";

/**
 * Reads the decoded recording: asciicast v2 lines with the event codes `o` (output), `r` (resize), `m` (marker) and
 * ours, `b` (exact bytes of an output that is not UTF-8), `e` (that output went to standard error), `g` (a loss), `l` (a
 * stated limit or a degraded mode) and `x` (exit). The player gets output, resizes and markers, already checked; shortfalls
 * and the exit are handed to the page.
 */

/** An event that the player understands. */
export type PlayedEvent = [milliseconds: number, code: "o" | "r" | "m", content: string];

/** Something that the recording says it lacks, or did less. */
export interface Shortfall {
  milliseconds: number;
  /** What it is, in words: `gap`, `stated limit`. */
  kind: string;
  isLoss: boolean;
  reason: string;
  lostBytes: number | null;
  /** How often it happened. */
  count: number;
}

/** How the recorded command ended: by itself with a code, by a signal, or in words that this page does not know. */
export type Exit = { code: number } | { signal: number } | { words: string };

/** A recording, read. */
export interface Cast {
  columns: number;
  rows: number;
  events: PlayedEvent[];
  /** What the code points stand for that stand in outputs for a character with its marks. */
  standIns: StandIns;
  shortfalls: Shortfall[];
  /** Null while the recording does not say. */
  exit: Exit | null;
  /** The first line that could not be read, if any: nothing after it is played. */
  damage: { line: number; why: string } | null;
  /** The largest size that the recording asked for, where that is larger than the page draws. */
  tooLarge: { columns: number; rows: number } | null;
  durationMilliseconds: number;
}

/** The recording cannot be played at all, because its first line is not an asciicast v2 header. */
export class BadCast extends Error {}

/** The largest terminal that is drawn: a hostile recording must not exhaust the viewer's memory. */
export const LARGEST_COLUMNS = 2000;
export const LARGEST_ROWS = 600;
export const MOST_CELLS = 300_000;

/** Reads a recording piece by piece, as it arrives. */
export class CastReader {
  private rest = "";
  private lineNumber = 0;
  private headerSeen = false;
  private previousMilliseconds = 0;
  /** The output that marks at the beginning of the next one would join, by its place in `events`. */
  private joinable = 0;
  private readonly standIns = new StandIns();
  private readonly joiner = new CellJoiner(this.standIns);
  private readonly cast: Cast = {
    columns: 80,
    rows: 24,
    events: [],
    standIns: this.standIns,
    shortfalls: [],
    exit: null,
    damage: null,
    tooLarge: null,
    durationMilliseconds: 0,
  };

  push(text: string): void {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.readLine(line);
  }

  /** The recording, or null when it is empty. */
  finish(): Cast | null {
    if (this.rest !== "") this.readLine(this.rest);
    this.rest = "";
    if (!this.headerSeen) return null;
    const { cast } = this;
    cast.durationMilliseconds = this.previousMilliseconds;
    const last = cast.events.at(-1);
    // The player ends at its last event; an empty output holds it open until the recording's own end.
    if (last !== undefined && last[0] < cast.durationMilliseconds) {
      cast.events.push([cast.durationMilliseconds, "o", ""]);
    }
    return cast;
  }

  private readLine(line: string): void {
    this.lineNumber += 1;
    if (this.cast.damage !== null || line.trim() === "") return;
    if (!this.headerSeen) {
      this.readHeader(line);
      return;
    }
    try {
      this.readEvent(line);
    } catch (problem) {
      if (!(problem instanceof BadLine)) throw problem;
      this.cast.damage = { line: this.lineNumber, why: problem.message };
    }
  }

  private readHeader(line: string): void {
    const header = parseJson(line);
    if (!isRecord(header)) {
      throw new BadCast(`Line ${this.lineNumber} of the recording should be an asciicast header, but it is not a JSON object.`);
    }
    if (header["version"] !== 2) {
      throw new BadCast(`The recording's header says version ${JSON.stringify(header["version"])}; this page plays asciicast version 2.`);
    }
    const { width, height } = header;
    if (!isCount(width) || !isCount(height)) {
      throw new BadCast("The recording's header gives no terminal size: width and height should be whole numbers.");
    }
    this.headerSeen = true;
    // Zero means that the terminal's size was not known; asciinema plays such a recording at 80 x 24.
    const size = this.limitSize(width || 80, height || 24);
    this.cast.columns = size.columns;
    this.cast.rows = size.rows;
  }

  private readEvent(line: string): void {
    const event = parseJson(line);
    if (!Array.isArray(event)) throw new BadLine("it is not a JSON array");
    const [seconds, code, content] = event as unknown[];
    if (typeof seconds !== "number" || !Number.isFinite(seconds) || seconds < 0) throw new BadLine("its time is not a number of seconds");
    if (typeof code !== "string") throw new BadLine("its event code is not text");
    const milliseconds = seconds * 1000;
    if (milliseconds < this.previousMilliseconds) throw new BadLine("its time is before that of the line above it");
    this.readContent(milliseconds, code, content);
    this.previousMilliseconds = milliseconds;
  }

  private readContent(milliseconds: number, code: string, content: unknown): void {
    const { cast } = this;
    switch (code) {
      case "o":
        this.readOutput(milliseconds, asText(code, content));
        return;
      case "m":
        cast.events.push([milliseconds, "m", sanitise(asText(code, content))]);
        return;
      case "r": {
        const size = typeof content === "string" ? /^([0-9]{1,9})x([0-9]{1,9})$/.exec(content) : null;
        if (size === null) throw new BadLine('the content of its "r" event is not a size such as 80x24');
        const { columns, rows } = this.limitSize(Number(size[1]), Number(size[2]));
        cast.events.push([milliseconds, "r", `${columns}x${rows}`]);
        return;
      }
      case "g":
      case "l": {
        const shortfall = readShortfall(milliseconds, content, code === "g");
        cast.shortfalls.push(shortfall);
        cast.events.push([milliseconds, "m", `${shortfall.kind}: ${sanitise(shortfall.reason)}`]);
        return;
      }
      case "x":
        cast.exit = readExit(content);
        return;
      default:
        // `b` repeats an output's exact bytes, and `e` says that it went to standard error: the `o` before them already
        // draws it. `i` (input) is not played; codes that this page does not know are ignored, as asciicast asks.
        return;
    }
  }

  private readOutput(milliseconds: number, output: string): void {
    const { events } = this.cast;
    const { text, amended, baseIsHere } = this.joiner.read(output);
    const joined = events[this.joinable];
    if (amended !== null && joined !== undefined) joined[2] = amended;
    if (baseIsHere) this.joinable = events.length;
    events.push([milliseconds, "o", text]);
  }

  private limitSize(columns: number, rows: number): { columns: number; rows: number } {
    const drawnColumns = Math.min(Math.max(columns, 1), LARGEST_COLUMNS);
    const limited = {
      columns: drawnColumns,
      rows: Math.min(Math.max(rows, 1), LARGEST_ROWS, Math.floor(MOST_CELLS / drawnColumns)),
    };
    if (limited.columns < columns || limited.rows < rows) {
      const { tooLarge } = this.cast;
      this.cast.tooLarge = { columns: Math.max(columns, tooLarge?.columns ?? 0), rows: Math.max(rows, tooLarge?.rows ?? 0) };
    }
    return limited;
  }
}

class BadLine extends Error {}

function asText(code: string, content: unknown): string {
  if (typeof content !== "string") throw new BadLine(`the content of its "${code}" event is not text`);
  return content;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

/** The kinds of shortfalls in words; the page shows no other word of a recording's making as a kind. */
const LOSSES: Record<string, string> = { gap: "gap", drop: "drop", truncation: "truncation", rate_limit: "rate limit" };
const LIMITS: Record<string, string> = { stated_limit: "stated limit", degraded_mode: "degraded mode" };

/** The kind in words, of a loss or of another shortfall. */
export function kindInWords(kind: unknown, isLoss: boolean): string {
  const kinds = isLoss ? LOSSES : LIMITS;
  return typeof kind === "string" && Object.hasOwn(kinds, kind) ? kinds[kind] ?? "" : isLoss ? "gap" : "limit";
}

/** A shortfall's content is a JSON object, or the text of one. It is never dropped for being worded oddly. */
function readShortfall(milliseconds: number, content: unknown, isLoss: boolean): Shortfall {
  const stated = unwrapJson(content);
  const kind = kindInWords(isRecord(stated) ? stated["kind"] : undefined, isLoss);
  if (!isRecord(stated)) {
    const reason = typeof stated === "string" ? stated : "no reason was recorded";
    return { milliseconds, kind, isLoss, reason, lostBytes: null, count: 1 };
  }
  const { reason, lost_bytes: lostBytes, count } = stated;
  return {
    milliseconds,
    kind,
    isLoss,
    reason: typeof reason === "string" ? reason : reason === undefined ? "no reason was recorded" : JSON.stringify(reason),
    // Zero stands for a number that is not known.
    lostBytes: isCount(lostBytes) && lostBytes > 0 ? lostBytes : null,
    count: isCount(count) && count > 0 ? count : 1,
  };
}

/**
 * An exit is a code, or a signal as a negative number, or an object that names a code or a signal; each may be the text
 * of its JSON.
 */
function readExit(content: unknown): Exit {
  const stated = unwrapJson(content);
  if (isCount(stated)) return { code: stated };
  if (typeof stated === "number" && isCount(-stated)) return { signal: -stated };
  if (isRecord(stated) && isCount(stated["code"])) return { code: stated["code"] };
  if (isRecord(stated) && isCount(stated["signal"])) return { signal: stated["signal"] };
  return { words: typeof stated === "string" ? stated : JSON.stringify(stated) ?? "" };
}

function unwrapJson(content: unknown): unknown {
  return typeof content === "string" ? parseJson(content) ?? content : content;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
