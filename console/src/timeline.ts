import { activityOf } from "./activity.ts";
import type { Cast } from "./cast.ts";
import { element } from "./page.ts";
import { readablePosition } from "./readable.ts";

const SVG = "http://www.w3.org/2000/svg";
const PARTS = 160;
/** The size of the drawing's own coordinates. */
const WIDTH = 1000;
const HEIGHT = 40;

/** Draws what was printed when, where nothing was, and where shortfalls and markers are. */
export function drawTimeline(cast: Cast): void {
  const duration = cast.durationMilliseconds;
  const activity = activityOf(cast.events, duration, PARTS);
  const x = (milliseconds: number): number => (duration === 0 ? 0 : (milliseconds / duration) * WIDTH);
  const drawn: SVGElement[] = activity.idle.map(({ from, until }) => rectangle("idle", x(from), 0, x(until) - x(from), HEIGHT));
  activity.levels.forEach((level, part) => {
    if (level === 0) return;
    const height = (level / 5) * (HEIGHT - 4);
    drawn.push(rectangle(`level-${level}`, (part / PARTS) * WIDTH, HEIGHT - height, WIDTH / PARTS - 1, height));
  });
  const picture = element("activity");
  for (const old of picture.querySelectorAll("rect")) old.remove();
  picture.append(...drawn);

  // Where several would stand on each other one is drawn: a loss before a limit, and that before a marker.
  const marks = new Map(marksOf(cast).map((milliseconds) => [Math.round(x(milliseconds)), "marker"]));
  for (const [isLoss, name] of [[false, "limit"], [true, "gap"]] as const) {
    for (const shortfall of cast.shortfalls) if (shortfall.isLoss === isLoss) marks.set(Math.round(x(shortfall.milliseconds)), name);
  }
  element("marks").replaceChildren(
    ...[...marks].map(([position, name]) => {
      const mark = document.createElement("i");
      mark.className = name;
      mark.style.left = `${position / 10}%`;
      return mark;
    }),
  );
  element("total-time").textContent = readablePosition(duration);
  element("track").setAttribute("aria-valuemax", String(Math.floor(duration / 1000)));
}

/** The times of shortfalls and markers, in order, each once. */
export function marksOf(cast: Cast): number[] {
  return [...new Set(cast.events.filter(([, code]) => code === "m").map(([milliseconds]) => milliseconds))];
}

function rectangle(name: string, x: number, y: number, width: number, height: number): SVGElement {
  const drawn = document.createElementNS(SVG, "rect");
  drawn.setAttribute("class", name);
  for (const [key, value] of Object.entries({ x, y, width, height })) drawn.setAttribute(key, value.toFixed(2));
  return drawn;
}
