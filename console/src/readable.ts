/** How times, lengths and sizes are written for a reader. */

/** `2026-11-20T10:42:38Z` as `20 Nov 2026, 10:42:38 UTC`; null when the text is not a time. */
export function readableInstant(text: string): string | null {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return null;
  const day = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}`;
  return `${day}, ${at.toISOString().slice(11, 19)} UTC`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A length of time: `850 ms`, `12 s`, `3 min 05 s`, `2 h 03 min 05 s`. */
export function readableDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const { hours, minutes, seconds } = split(milliseconds);
  if (hours > 0) return `${hours} h ${pad(minutes)} min ${pad(seconds)} s`;
  return minutes > 0 ? `${minutes} min ${pad(seconds)} s` : `${seconds} s`;
}

/** A place on the time line, as the player writes it: `00:12`, `1:02:03`. */
export function readablePosition(milliseconds: number): string {
  const { hours, minutes, seconds } = split(milliseconds);
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds)}` : `${pad(minutes)}:${pad(seconds)}`;
}

/** The time on a clock, at an instant: `10:42:38 UTC`; empty beyond what a clock can say. */
export function readableClock(instant: number): string {
  const at = new Date(instant);
  return Number.isNaN(at.getTime()) ? "" : `${at.toISOString().slice(11, 19)} UTC`;
}

/** A length of time in words that can be read out: `1 hour 2 minutes 3 seconds`. */
export function spokenDuration(milliseconds: number): string {
  const parts = Object.entries(split(milliseconds)).filter(([, count]) => count > 0);
  if (parts.length === 0) return "0 seconds";
  return parts.map(([unit, count]) => `${count} ${count === 1 ? unit.slice(0, -1) : unit}`).join(" ");
}

/** A size: `512 bytes`, `1.4 kB`, `38.0 MB`. */
export function readableBytes(bytes: number): string {
  if (bytes === 1) return "1 byte";
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return bytes < 1_000_000_000 ? `${(bytes / 1_000_000).toFixed(1)} MB` : `${(bytes / 1_000_000_000).toFixed(1)} GB`;
}

function split(milliseconds: number): { hours: number; minutes: number; seconds: number } {
  const whole = Math.floor(milliseconds / 1000);
  return { hours: Math.floor(whole / 3600), minutes: Math.floor(whole / 60) % 60, seconds: whole % 60 };
}

function pad(number: number): string {
  return number.toString().padStart(2, "0");
}
