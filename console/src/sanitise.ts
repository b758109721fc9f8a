/**
 * Makes text that a session or an agent supplied safe to read: control characters (C0, DEL, C1), bidirectional
 * controls, line separators, other invisible format characters and lone surrogates are shown escaped, as `\u{202e}`.
 * Combining marks, variation selectors and the zero width joiner stay. The page only ever inserts text as text; this
 * keeps that text from lying about its own order or from hiding characters.
 */
export function sanitise(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}\ud800-\udfff]/gu;
