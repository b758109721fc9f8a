import { fitTerminal } from "./fit.ts";
import { element } from "./page.ts";

/** Keeps the letters as large as the window allows, through changes of the window and of the recorded terminal. */
export function fitTerminalToWindow(): void {
  const player = element("player");
  const replay = element("replay");
  const stage = element("stage");
  let cellWidth = 0;
  let fitted = "";

  const fit = (): void => {
    const terminal = player.querySelector<HTMLElement>(".ap-term");
    if (terminal === null || stage.hidden) return;
    const columns = Number(terminal.style.getPropertyValue("--term-cols"));
    const rows = Number(terminal.style.getPropertyValue("--term-rows"));
    if (!(columns > 0 && rows > 0)) return;
    element("terminal-size").textContent = `${columns} × ${rows}`;
    cellWidth ||= measureCell(player);
    const isFullScreen = document.fullscreenElement === stage;
    const top = isFullScreen ? 0 : stage.getBoundingClientRect().top + scrollY;
    const around = stage.offsetHeight - player.offsetHeight;
    const result = fitTerminal({
      width: isFullScreen ? innerWidth : replay.clientWidth - BORDER,
      height: innerHeight - top - around - (isFullScreen ? 0 : MARGIN),
      columns,
      rows,
      cellWidth,
      alone: isFullScreen,
    });
    const key = `${result.fontSize} ${result.panel}`;
    if (key === fitted) return;
    fitted = key;
    player.style.setProperty("--terminal-font-size", `${result.fontSize}px`);
    if (!isFullScreen) replay.dataset["panel"] = result.panel;
  };

  const sizes = new ResizeObserver(fit);
  sizes.observe(replay);
  // The player makes its terminal anew now and then.
  new MutationObserver(() => {
    const terminal = player.querySelector(".ap-term");
    if (terminal === null) return;
    sizes.observe(terminal);
    fit();
  }).observe(player, { childList: true });
  addEventListener("resize", fit);
  document.addEventListener("fullscreenchange", fit);
}

/** The frame's own border, left and right. */
const BORDER = 2;
/** Room below the player, so that its end is seen. */
const MARGIN = 20;

function measureCell(near: HTMLElement): number {
  const ruler = document.createElement("span");
  ruler.className = "ruler";
  near.append(ruler);
  const width = ruler.getBoundingClientRect().width / 10_000;
  ruler.remove();
  return width;
}
