import { isWide } from "./wide.ts";

/**
 * Characters without a width of their own, in the output of a session.
 *
 * The terminal model of the player keeps one code point in a cell, and gives even a combining mark a cell of its own,
 * so that everything behind it stands too far to the right. So a character and the marks that join it are composed into
 * one code point before the model sees them; where Unicode has none, a code point that nothing else uses stands for them,
 * and the page draws what it stands for (`cell-text.ts`).
 *
 * Marks join the character before them: combining marks, variation selectors, the zero width joiner, and the vowels and
 * finals of Hangul. What could mislead a reader (bidirectional controls, other invisible characters) is dropped, and
 * takes no cell.
 */
export class CellJoiner {
  private state: State = "ground";
  /** The character that a mark would join, with its marks. */
  private base: { cell: string; marks: number } | null = null;
  /** The output in which the base stands, as the terminal model gets it: what is before the base and behind it. */
  private baseText = { before: "", after: "" };
  private sequence = "";
  private readonly stands: StandIns;

  constructor(stands: StandIns) {
    this.stands = stands;
  }

  /** Reads one output, which may begin or end inside an escape sequence or between a character and its marks. */
  read(output: string): JoinedOutput {
    // What stands before the last base of this output, and, once there is one, behind it. So a mark costs the same however
    // long the output is.
    let before = "";
    let after = "";
    let amended: string | null = null;
    let baseIsHere = false;
    const append = (shown: string): void => {
      if (baseIsHere) after += shown;
      else before += shown;
    };
    let shownBase = "";
    for (let at = 0; at < output.length; ) {
      const code = output.codePointAt(at) ?? 0;
      const character = String.fromCodePoint(code);
      at += character.length;
      if (this.state !== "ground") {
        // Inside a sequence nothing is drawn. Should the terminal model disagree, nothing unseen gets through.
        append(isMisleading(code) ? "\ufffd" : character);
        this.followSequence(code, character);
      } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        append(character);
        this.followControl(code);
      } else if (isMisleading(code)) {
        continue;
      } else if (joins(code)) {
        const shown = this.joined(character);
        if (shown === null) continue;
        if (baseIsHere) shownBase = shown;
        else amended = shown;
      } else {
        const shown = this.stands.isStandIn(code) ? this.stands.standInFor(character, isWide(code)) ?? "\ufffd" : character;
        before += shownBase + after;
        after = "";
        this.base = { cell: character, marks: 0 };
        baseIsHere = true;
        shownBase = shown;
      }
    }
    const { before: start, after: end } = this.baseText;
    if (baseIsHere) this.baseText = { before, after };
    return {
      text: before + shownBase + after,
      amended: amended === null ? null : start + amended + end,
      baseIsHere,
    };
  }

  /** What is shown of the base with one more mark; null where there is nothing to join, or no room for more. */
  private joined(mark: string): string | null {
    const { base } = this;
    if (base === null || base.marks === MOST_MARKS) return null;
    const cell = base.cell + mark;
    const shown = this.shownAs(cell);
    if (shown === null) return null;
    this.base = { cell, marks: base.marks + 1 };
    return shown;
  }

  /** The one code point that the terminal model gets for a character with its marks. */
  private shownAs(cell: string): string | null {
    const composed = cell.normalize("NFC");
    const code = composed.codePointAt(0) ?? 0;
    if (composed.length === String.fromCodePoint(code).length) return composed;
    return this.stands.standInFor(cell, isWide(code));
  }

  private followControl(code: number): void {
    switch (code) {
      case 0x1b:
        this.begin("escape");
        return;
      case 0x9b:
        this.begin("csi");
        return;
      case 0x90:
      case 0x98:
      case 0x9d:
      case 0x9e:
      case 0x9f:
        this.begin("string");
        return;
      case 0x00:
      case 0x07:
        // Neither draws anything nor moves the cursor.
        return;
      default:
        this.base = null;
    }
  }

  private begin(state: State): void {
    this.state = state;
    this.sequence = "";
  }

  private followSequence(code: number, character: string): void {
    if (code === 0x18 || code === 0x1a) {
      this.state = "ground";
      this.base = null;
    } else if (code === 0x1b) {
      this.begin("escape");
    } else if (code >= 0x80 && code < 0xa0) {
      this.state = "ground";
      if (code !== 0x9c) this.followControl(code);
    } else if (this.state === "string") {
      if (code === 0x07) this.state = "ground";
    } else if (this.state === "escape") {
      this.followEscape(code, character);
    } else if (code >= 0x40 && code !== 0x7f) {
      this.state = "ground";
      // Colours leave the cursor where it is.
      if (character !== "m" || /[^0-9;:]/.test(this.sequence)) this.base = null;
    } else if (code >= 0x20) {
      this.sequence += character;
    } else {
      // A control inside a sequence is obeyed at once.
      this.base = null;
    }
  }

  private followEscape(code: number, character: string): void {
    if (this.sequence === "" && character === "[") this.begin("csi");
    else if (this.sequence === "" && "]PX^_".includes(character)) this.begin("string");
    else if (code >= 0x20 && code < 0x30) this.sequence += character;
    else if (code >= 0x30) {
      this.state = "ground";
      // The end of a string (ESC \) draws nothing; of the others many move the cursor.
      if (character !== "\\") this.base = null;
    }
  }
}

type State = "ground" | "escape" | "csi" | "string";

/** What the terminal model gets for one output. */
export interface JoinedOutput {
  text: string;
  /** The output before, where a mark of this one has joined its last character. */
  amended: string | null;
  /** True where marks of the next output would join this one. */
  baseIsHere: boolean;
}

/** More marks than any script writes on one character; beyond them they only hide what stands around. */
const MOST_MARKS = 15;

/** Code points that stand for what fills one cell, or two, and is not one code point. */
export class StandIns {
  private readonly codes = new Map<string, number>();
  private readonly cells = new Map<number, string>();
  private readonly next = { narrow: NARROW.first, wide: WIDE.first };

  /** Whether nothing is stood for. */
  get isEmpty(): boolean {
    return this.cells.size === 0;
  }

  /** Null when none is left. */
  standInFor(cell: string, wide: boolean): string | null {
    const known = this.codes.get(cell);
    if (known !== undefined) return String.fromCodePoint(known);
    const width = wide ? "wide" : "narrow";
    const code = this.next[width];
    if (code > (wide ? WIDE : NARROW).last) return null;
    this.next[width] += 1;
    this.codes.set(cell, code);
    this.cells.set(code, cell);
    return String.fromCodePoint(code);
  }

  /** What this code point stands for, and how many cells it fills; null where it stands for itself. */
  cellOf(code: number): { cell: string; columns: 1 | 2 } | null {
    const cell = this.cells.get(code);
    return cell === undefined ? null : { cell, columns: code >= NARROW.first ? 1 : 2 };
  }

  /** Whether this code point, when the session itself prints it, has to be stood for too. */
  isStandIn(code: number): boolean {
    return (code >= WIDE.first && code <= WIDE.last) || (code >= NARROW.first && code <= NARROW.last);
  }
}

/** The last private-use plane fills one cell each. */
const NARROW = { first: 0x10_0000, last: 0x10_fffd };
/** This part of the third ideographic plane is not assigned, and fills two. */
const WIDE = { first: 0x3_a000, last: 0x3_fffd };

/** Finds text that may contain stand-ins. */
export const STAND_IN = /[\u{3a000}-\u{3fffd}\u{100000}-\u{10fffd}]/u;

function joins(code: number): boolean {
  // The first combining mark is U+0300. The voiced sound marks of half-width katakana are wide enough for a cell.
  return code >= 0x300 && code !== 0xff9e && code !== 0xff9f && JOINING.test(String.fromCodePoint(code));
}

// Combining and enclosing marks (variation selectors are among them), the joiner, vowels and finals of Hangul.
const JOINING = /[\p{Mn}\p{Me}\p{Grapheme_Extend}\u200d\u1160-\u11ff\ud7b0-\ud7c6\ud7cb-\ud7fb]/u;

/** A format character that shows nothing itself and lets a text lie about its order or its length. */
function isMisleading(code: number): boolean {
  return code >= 0xad && MISLEADING.test(String.fromCodePoint(code));
}

const MISLEADING =
  /[\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}]/u;
