import "asciinema-player/dist/bundle/asciinema-player.css";
import "./replay.css";
import { BadCast, type Cast } from "./cast.ts";
import * as page from "./page.ts";
import type { Recording } from "./recording.ts";
import { readReplayAddress } from "./replay-address.ts";
import { exchangeTicket, fetchCast, fetchRecording, ReplayFailure } from "./replay-client.ts";
import { browserRunsPlayer, ReplayPlayer } from "./replay-player.ts";

declare global {
  interface Window {
    /** The player in use, for browser tests: they seek with it and then read the screen from the document. */
    hansardReplay?: ReplayPlayer | undefined;
  }
}

/** Each load has a number; what an older one still had under way is dropped when a newer one begins. */
let currentLoad = 0;

const NO_WEB_ASSEMBLY =
  "This browser does not run WebAssembly, which the player needs. Allow it for this site, or play the recording in a terminal: hansard recordings play.";

/** The keys that play and move, wherever on the page they are pressed. */
const PLAYER_KEYS = new Set([" ", "ArrowLeft", "ArrowRight", ",", ".", "[", "]", "?", "f"]);

/** Reads the address, takes the ticket out of it at once, and loads the recording. */
function openAddress(): void {
  const { token, ticket } = readReplayAddress(location);
  if (location.hash !== "") history.replaceState(null, "", location.pathname);
  if (token === null) {
    page.clearPage();
    page.showFailure("error", new ReplayFailure(null, "InvalidAddress", "This address names no recording: a token is 32 digits and letters from a to f.", null), null);
    return;
  }
  void load(token, ticket);
}

async function load(token: string, ticket: string | null): Promise<void> {
  const number = ++currentLoad;
  const stale = (): boolean => number !== currentLoad;
  window.hansardReplay?.dispose();
  window.hansardReplay = undefined;
  page.clearPage();
  const refused = ticket === null ? null : await exchange(token, ticket);
  if (stale()) return;
  try {
    if (refused !== null && refused.status !== 401) throw refused;
    const recording = await fetchRecording(token);
    if (stale()) return;
    page.showRecording(recording, token);
    const cast = await fetchCast(token, (receivedBytes) => stale() || page.showProgress(receivedBytes));
    if (!(await browserRunsPlayer())) throw new ReplayFailure(null, "WebAssemblyUnavailable", NO_WEB_ASSEMBLY, null);
    if (stale()) return;
    showReplay(token, recording, cast);
  } catch (problem) {
    if (!stale()) showProblem(problem, token, ticket, refused);
  }
}

/** Null when the ticket was taken; a refused ticket (used, too old) still leaves a session that was opened before. */
async function exchange(token: string, ticket: string): Promise<ReplayFailure | null> {
  try {
    await exchangeTicket(token, ticket);
    return null;
  } catch (problem) {
    return asFailure(problem);
  }
}

function showReplay(token: string, recording: Recording, cast: Cast | null): void {
  page.showNotices(recording, cast, () => void load(token, null));
  if (cast === null || !cast.events.some(([, code, content]) => code === "o" && content !== "")) {
    page.showNothingPlayable(recording, cast?.gaps.length ?? 0);
    if (cast !== null) page.showOutcome(cast, null);
    page.showState("ready");
    return;
  }
  page.element("stage").hidden = false;
  (page.element("speed") as HTMLSelectElement).value = "1";
  (page.element("skip-pauses") as HTMLInputElement).checked = false;
  const player = new ReplayPlayer(page.element("player"), cast);
  window.hansardReplay = player;
  page.showOutcome(cast, (milliseconds) => void player.seek(milliseconds));
  page.showState("ready");
}

function showProblem(problem: unknown, token: string, ticket: string | null, refused: ReplayFailure | null): void {
  const failure = asFailure(problem);
  if (failure.status === 401) {
    const reason =
      refused !== null
        ? `The replay address was not accepted: ${refused.message} (${refused.code})`
        : ticket !== null
          ? "The replay address was accepted, but this browser did not keep its cookie. Allow cookies for this site, then get a new address."
          : "";
    page.showMissingSession(token, reason);
    return;
  }
  if (failure.code === "InstanceRecord.Expired") {
    page.showFailure("expired", failure, null);
    return;
  }
  // A ticket is used up once the server has seen it; only a call that never arrived may send it again.
  const ticketLeft = refused !== null && refused.status === null ? ticket : null;
  page.showFailure("error", failure, () => void load(token, ticketLeft));
}

function asFailure(problem: unknown): ReplayFailure {
  if (problem instanceof ReplayFailure) return problem;
  if (problem instanceof BadCast) return new ReplayFailure(null, "UnreadableRecording", problem.message, null);
  return new ReplayFailure(null, "PageError", `This page failed: ${String(problem)}`, null);
}

function connectSettings(): void {
  const speed = page.element("speed") as HTMLSelectElement;
  speed.addEventListener("change", () => void window.hansardReplay?.changeSpeed(Number(speed.value)));
  const skipPauses = page.element("skip-pauses") as HTMLInputElement;
  skipPauses.addEventListener("change", () => void window.hansardReplay?.shortenPauses(skipPauses.checked));
}

function connectKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.target !== document.body || event.altKey || event.ctrlKey || event.metaKey || !PLAYER_KEYS.has(event.key)) return;
    if (window.hansardReplay === undefined) return;
    event.preventDefault();
    window.hansardReplay.pressKey(event.key, event.shiftKey);
  });
}

/** The terminal model is foreign code fed with hostile bytes: should it ever trap, the page says so. */
function reportPlayerFailures(): void {
  addEventListener("error", ({ error }: ErrorEvent) => {
    if (!(error instanceof WebAssembly.RuntimeError)) return;
    const failure = new ReplayFailure(null, "PlayerFailed", "The player stopped at something in this recording. Play it in a terminal: hansard recordings play.", null);
    page.element("stage").hidden = true;
    page.showFailure("error", failure, null);
  });
}

connectSettings();
connectKeys();
reportPlayerFailures();
page.connectCopyButtons(document);
// A new replay address of the same recording, opened in this tab, changes only the fragment: the page is not loaded anew.
addEventListener("hashchange", openAddress);
openAddress();
