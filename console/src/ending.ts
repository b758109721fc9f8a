import type { Exit } from "./cast.ts";

/** How a session ended, in a word for the head of the page and in a sentence. */
export interface Ending {
  label: string;
  sentence: string;
  /** What the page colours it by. */
  kind: "good" | "bad" | "care" | "running" | "quiet";
}

/** `words` must be sanitised before they are shown; everything else is our own. */
export function endingOf(status: string, exit: Exit | null): Ending {
  if (exit !== null) return endingOfExit(exit);
  switch (status) {
    case "running":
      return { label: "still running", sentence: "The session is still running.", kind: "running" };
    case "interrupted":
      return {
        label: "end not recorded",
        sentence: "The recording was cut off before the session ended, so nobody recorded how it ended.",
        kind: "care",
      };
    case "failed":
      return { label: "end not recorded", sentence: "The recording failed before the session ended.", kind: "bad" };
    default:
      return { label: "no exit status", sentence: "The recording does not say how the command ended.", kind: "quiet" };
  }
}

function endingOfExit(exit: Exit): Ending {
  if ("code" in exit) {
    return exit.code === 0
      ? { label: "exit 0", sentence: "The command ended by itself with exit status 0, which means success.", kind: "good" }
      : { label: `exit ${exit.code}`, sentence: `The command ended by itself with exit status ${exit.code}, which means failure.`, kind: "bad" };
  }
  if ("signal" in exit) {
    const named = signalName(exit.signal);
    const signal = named === null ? `${exit.signal}` : `${exit.signal} (${named})`;
    return { label: `ended by signal ${signal}`, sentence: `The command was ended by signal ${signal}.`, kind: "bad" };
  }
  return { label: exit.words, sentence: `The recording says how the command ended: ${exit.words}`, kind: "quiet" };
}

/** The name of a signal of Linux, or null for one without a name. */
export function signalName(signal: number): string | null {
  if (signal >= 34 && signal <= 64) return signal === 34 ? "SIGRTMIN" : `SIGRTMIN+${signal - 34}`;
  const name = SIGNALS[signal - 1];
  return name === undefined ? null : `SIG${name}`;
}

const SIGNALS = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU " +
  "XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");
