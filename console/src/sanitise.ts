/**
 * Makes text that a session or an agent supplied safe to read: control characters (C0, DEL, C1), bidirectional
 * controls, line separators and lone surrogates are shown escaped, as `\u{202e}`. The page only ever inserts text
 * as text; this keeps that text from lying about its own order or from hiding characters.
 */
export function sanitise(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
