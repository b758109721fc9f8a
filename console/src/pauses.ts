import type { PlayedEvent } from "./cast.ts";

/** A time line whose long pauses are cut to `limitMilliseconds`, and the way between its times and the recorded ones. */
export interface Timeline {
  events: PlayedEvent[];
  toPlayed(recordedMilliseconds: number): number;
  toRecorded(playedMilliseconds: number): number;
}

/** The recording as it was, every pause at its full length. */
export function withPauses(events: PlayedEvent[]): Timeline {
  return { events, toPlayed: (time) => time, toRecorded: (time) => time };
}

/** The recording with every pause longer than the limit shortened to it. */
export function withoutPauses(events: PlayedEvent[], limitMilliseconds: number): Timeline {
  // Each cut: recorded times from `until` on are `removed` later than they are played; what lies in a pause beyond
  // its limit is played at the moment of its end.
  const cuts: { until: number; removed: number }[] = [];
  let previous = 0;
  let removed = 0;
  const shortened = events.map(([time, code, content]): PlayedEvent => {
    const excess = time - previous - limitMilliseconds;
    previous = time;
    if (excess > 0) {
      removed += excess;
      cuts.push({ until: time, removed });
    }
    return [time - removed, code, content];
  });
  return {
    events: shortened,
    toPlayed(recorded) {
      let before = 0;
      for (const cut of cuts) {
        if (recorded < cut.until) return Math.min(recorded - before, cut.until - cut.removed);
        before = cut.removed;
      }
      return recorded - before;
    },
    toRecorded(played) {
      let before = 0;
      for (const cut of cuts) {
        if (played < cut.until - cut.removed) break;
        before = cut.removed;
      }
      return played + before;
    },
  };
}
