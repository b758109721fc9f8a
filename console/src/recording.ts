import { kindInWords } from "./cast.ts";
import { shellWords } from "./shell-words.ts";

/** What the control plane says about a recording. Everything in it may be text of an agent's making. */
export interface Recording {
  instanceId: string;
  status: string;
  startTime: string;
  durationMilliseconds: number | null;
  expireTime: string;
  /** As one would type it. */
  command: string;
  claimedUser: string;
  /** Who ran the process that captured it, and what that means. */
  recorder: string;
  /** What it lacks or did less, in all streams; null where that is not known. */
  ledger: LedgerKind[] | null;
}

/** What there is of one kind of shortfalls. */
export interface LedgerKind {
  /** In words. */
  kind: string;
  count: number;
  firstMilliseconds: number;
  lastMilliseconds: number;
  lostBytes: number | null;
}

/** Reads the reply of `GET /replay/v1/recordings/<token>`. A field that is missing is empty, never an exception. */
export function readRecording(reply: unknown): Recording {
  const fields = (typeof reply === "object" && reply !== null ? reply : {}) as Record<string, unknown>;
  return {
    instanceId: text(fields["InstanceId"]),
    status: text(fields["Status"]),
    startTime: text(fields["StartTime"]),
    durationMilliseconds: count(fields["RecordDurationMillis"]),
    expireTime: text(fields["ExpireTime"]),
    command: Array.isArray(fields["Command"]) ? shellWords(fields["Command"].map(text)) : text(fields["Command"]),
    claimedUser: text(fields["ClaimedUser"]),
    recorder: recorderSentence(text(fields["Recorder"])),
    ledger: Array.isArray(fields["Ledger"]) ? fields["Ledger"].map(ledgerKind) : null,
  };
}

function ledgerKind(item: unknown): LedgerKind {
  const fields = (typeof item === "object" && item !== null ? item : {}) as Record<string, unknown>;
  const kind = text(fields["Kind"]);
  return {
    kind: kindInWords(kind, kind !== "stated_limit" && kind !== "degraded_mode"),
    count: count(fields["Count"]) ?? 1,
    firstMilliseconds: count(fields["FirstAtMillis"]) ?? 0,
    lastMilliseconds: count(fields["LastAtMillis"]) ?? 0,
    lostBytes: count(fields["LostBytes"]),
  };
}

/** A recording that does not say who recorded it counts as recorded by the recorded user's own process. */
function recorderSentence(recorder: string): string {
  if (recorder === "" || recorder === "same-user") {
    return "A process of the recorded user or within their reach, who could have ended, altered or invented it (same-user).";
  }
  if (recorder === "separate") {
    return "A process beyond the recorded user's reach (separate).";
  }
  return `${recorder} (this page does not know what that means)`;
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

function count(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}
