import "asciinema-player/dist/bundle/asciinema-player.css";
import "./replay.css";
import { BadCast, type Cast } from "./cast.ts";
import { Controls } from "./controls.ts";
import * as page from "./page.ts";
import { PAGE_CODES, problemOf, ReplayFailure, whyNoSession } from "./problems.ts";
import type { Recording } from "./recording.ts";
import { readReplayAddress } from "./replay-address.ts";
import { exchangeTicket, fetchCast, fetchRecording } from "./replay-client.ts";
import { browserRunsPlayer, ReplayPlayer } from "./replay-player.ts";
import { fitTerminalToWindow } from "./terminal-fit.ts";

declare global {
  interface Window {
    /** The player in use, for browser tests: they seek with it and then read the screen from the document. */
    hansardReplay?: ReplayPlayer | undefined;
  }
}

/** Each load has a number; what an older one still had under way is dropped when a newer one begins. */
let currentLoad = 0;

const controls = new Controls();

/** Reads the address, takes the ticket out of it at once, and loads the recording. */
function openAddress(): void {
  const { token, ticket } = readReplayAddress(location);
  if (location.hash !== "") history.replaceState(null, "", location.pathname);
  if (token === null) {
    page.clearPage();
    showFailure(new ReplayFailure(null, PAGE_CODES.address, "", null), openAddress);
    return;
  }
  void load(token, ticket);
}

async function load(token: string, ticket: string | null): Promise<void> {
  const number = ++currentLoad;
  const stale = (): boolean => number !== currentLoad;
  disposePlayer();
  page.clearPage();
  const refused = ticket === null ? null : await exchange(token, ticket);
  if (stale()) return;
  try {
    if (refused !== null && refused.status !== 401) throw refused;
    const recording = await fetchRecording(token);
    if (stale()) return;
    page.showRecording(recording, token);
    const cast = await fetchCast(token, (receivedBytes) => stale() || page.showProgress(receivedBytes));
    if (!(await browserRunsPlayer())) throw new ReplayFailure(null, PAGE_CODES.noWebAssembly, "", null);
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

function disposePlayer(): void {
  controls.detach();
  window.hansardReplay?.dispose();
  window.hansardReplay = undefined;
}

function showReplay(token: string, recording: Recording, cast: Cast | null): void {
  page.showNotices(recording, cast, () => void load(token, null));
  if (cast === null || !cast.events.some(([, code, content]) => code === "o" && content !== "")) {
    page.showNothingPlayable(recording, cast?.shortfalls.some(({ isLoss }) => isLoss) ?? false);
    page.showOutcome(recording, cast, null);
    page.showState("ready");
    return;
  }
  page.showOutcome(recording, cast, (milliseconds) => controls.seek(milliseconds));
  page.element("stage").hidden = false;
  const player = new ReplayPlayer(page.element("player"), cast);
  window.hansardReplay = player;
  const startedAt = Date.parse(recording.startTime);
  controls.attach(player, cast, Number.isNaN(startedAt) ? null : startedAt);
  page.showState("ready");
}

function showProblem(problem: unknown, token: string, ticket: string | null, refused: ReplayFailure | null): void {
  const failure = asFailure(problem);
  if (failure.status === 401) {
    page.showMissingSession(token, whyNoSession(refused, ticket !== null));
    return;
  }
  // A ticket is used up once the server has seen it; only a call that never arrived may send it again.
  const ticketLeft = refused !== null && refused.status === null ? ticket : null;
  showFailure(failure, () => void load(token, ticketLeft));
}

function showFailure(failure: ReplayFailure, tryAgain: () => void): void {
  page.showProblem(problemOf(failure), tryAgain);
}

function asFailure(problem: unknown): ReplayFailure {
  if (problem instanceof ReplayFailure) return problem;
  if (problem instanceof BadCast) return new ReplayFailure(null, PAGE_CODES.unreadableRecording, problem.message, null);
  return new ReplayFailure(null, PAGE_CODES.page, String(problem), null);
}

/** The terminal model is foreign code fed with hostile bytes: should it ever trap, the page says so. */
function reportPlayerFailures(): void {
  addEventListener("error", ({ error }: ErrorEvent) => {
    if (!(error instanceof WebAssembly.RuntimeError)) return;
    disposePlayer();
    showFailure(new ReplayFailure(null, PAGE_CODES.player, error.message, null), openAddress);
  });
}

fitTerminalToWindow();
reportPlayerFailures();
page.connectCopyButtons(document);
// A new replay address of the same recording, opened in this tab, changes only the fragment: the page is not loaded anew.
addEventListener("hashchange", openAddress);
openAddress();
