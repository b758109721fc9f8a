import { STAND_IN, type StandIns } from "./cells.ts";

/**
 * Draws what stand-ins stand for: watches the lines that the player draws, and puts each character with its marks into
 * an element of as many cells as it fills. Returns what ends the watch. This happens before the browser paints.
 */
export function drawStandIns(container: HTMLElement, standIns: StandIns): () => void {
  const draw = (root: ParentNode): void => {
    for (const span of root.querySelectorAll<HTMLElement>(".ap-line > span")) drawSpan(span, standIns);
  };
  const observer = new MutationObserver((changes) => {
    for (const { target, addedNodes } of changes) {
      if (addedNodes.length > 0 && target instanceof HTMLElement) draw(target.parentElement ?? target);
    }
    // What was drawn just now is no news.
    observer.takeRecords();
  });
  observer.observe(container, { childList: true, subtree: true });
  draw(container);
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
