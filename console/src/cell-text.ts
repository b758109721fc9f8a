import { STAND_IN, type StandIns } from "./cells.ts";

/**
 * Draws what stand-ins stand for: watches the lines that the player draws, and puts each character with its marks into
 * an element of as many cells as it fills. Returns what ends the watch. This happens before the browser paints.
 */
export function drawStandIns(container: HTMLElement, standIns: StandIns): () => void {
  if (standIns.isEmpty) return () => undefined;
  const observer = new MutationObserver((changes) => {
    // The player replaces all of a line at once.
    const lines = new Set(changes.map(({ target }) => target).filter((target) => target instanceof HTMLElement && target.className === "ap-line"));
    for (const line of lines) for (const span of line.childNodes) if (span instanceof HTMLElement) drawSpan(span, standIns);
    // What was drawn just now is no news.
    observer.takeRecords();
  });
  observer.observe(container, { childList: true, subtree: true });
  return () => observer.disconnect();
}

function drawSpan(span: HTMLElement, standIns: StandIns): void {
  const text = span.textContent ?? "";
  if (!STAND_IN.test(text)) return;
  const drawn: (Node | string)[] = [];
  let plain = "";
  for (const character of text) {
    const stoodFor = standIns.cellOf(character.codePointAt(0) ?? 0);
    if (stoodFor === null) {
      plain += character;
      continue;
    }
    if (plain !== "") drawn.push(plain);
    plain = "";
    const cell = document.createElement("bdi");
    cell.textContent = stoodFor.cell;
    if (stoodFor.columns === 2) cell.className = "wide";
    drawn.push(cell);
  }
  if (plain !== "") drawn.push(plain);
  span.replaceChildren(...drawn);
}
