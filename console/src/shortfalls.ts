import type { Shortfall } from "./cast.ts";
import { readableBytes, readablePosition } from "./readable.ts";
import type { LedgerKind } from "./recording.ts";

/** What the page says of what a recording lacks, or did less. The sentences are to be sanitised where they are shown. */

/** The heading of their list. */
export function shortfallsTitle(shortfalls: Shortfall[]): string {
  const losses = shortfalls.filter(({ isLoss }) => isLoss).length;
  if (losses === 0) return "Limits of the recording";
  const what = shortfalls.every(({ kind }) => kind === "gap") ? "gap" : losses === shortfalls.length ? "loss" : "loss or limit";
  if (shortfalls.length === 1) return `A ${what} in the recording`;
  return `${shortfalls.length} ${what === "gap" ? "gaps" : what === "loss" ? "losses" : "losses and limits"} in the recording`;
}

/** One of them in a sentence. */
export function shortfallSentence({ milliseconds, kind, isLoss, reason, lostBytes, count }: Shortfall): string {
  const lost = lostBytes === null ? "" : ` (${readableBytes(lostBytes)} lost)`;
  const often = count === 1 ? "" : `${count.toLocaleString("en")} times `;
  const position = readablePosition(milliseconds);
  if (kind === "gap") return `Output is missing ${often}at ${position}: ${reason}${lost}`;
  const what = kind.charAt(0).toUpperCase() + kind.slice(1);
  return `${what}${isLoss ? ", so that output is missing," : ""} ${often}at ${position}: ${reason}${lost}`;
}

/** What the control plane counted, of all streams together. */
export function ledgerSentence(ledger: LedgerKind[]): string {
  if (ledger.length === 0) return "None";
  return ledger
    .map(({ kind, count, firstMilliseconds, lastMilliseconds, lostBytes }) => {
      const often = count === 1 ? "" : ` ${count.toLocaleString("en")} times`;
      const [first, last] = [readablePosition(firstMilliseconds), readablePosition(lastMilliseconds)];
      const lost = lostBytes === null ? "" : `, ${readableBytes(lostBytes)} lost`;
      return `${kind}${often}, ${first === last ? `at ${first}` : `from ${first} to ${last}`}${lost}`;
    })
    .join("; ");
}
