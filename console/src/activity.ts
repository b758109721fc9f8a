import type { PlayedEvent } from "./cast.ts";

/** What the time line shows: how much was printed when, and where nothing was for long. */
export interface Activity {
  /** For each of equally long parts of the recording, from 0 (nothing) to 5 (the most). */
  levels: number[];
  idle: { from: number; until: number }[];
}

/** A stretch without output of at least this long, and of at least this part of the whole, is shown as idle. */
const SHORTEST_IDLE_MILLISECONDS = 2000;
const SHORTEST_IDLE_PART = 1 / 40;

export function activityOf(events: readonly PlayedEvent[], durationMilliseconds: number, parts: number): Activity {
  const printed = new Array<number>(parts).fill(0);
  const idle: Activity["idle"] = [];
  const shortest = Math.max(SHORTEST_IDLE_MILLISECONDS, durationMilliseconds * SHORTEST_IDLE_PART);
  let previous = 0;
  const until = (time: number): void => {
    if (time - previous >= shortest) idle.push({ from: previous, until: time });
    previous = time;
  };
  for (const [time, code, content] of events) {
    if (code !== "o" || content === "") continue;
    until(time);
    const part = durationMilliseconds === 0 ? 0 : Math.min(Math.floor((time / durationMilliseconds) * parts), parts - 1);
    printed[part] = (printed[part] ?? 0) + content.length;
  }
  until(durationMilliseconds);
  // By the logarithm: a screen that scrolls prints a thousand times what a person types, and typing should be seen too.
  const most = Math.log1p(Math.max(...printed));
  return { levels: printed.map((length) => (length === 0 ? 0 : Math.max(1, Math.ceil((Math.log1p(length) / most) * 5)))), idle };
}
