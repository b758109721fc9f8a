import { type Cast, LARGEST_COLUMNS, LARGEST_ROWS, MOST_CELLS } from "./cast.ts";
import { type Ending, endingOf } from "./ending.ts";
import type { Problem } from "./problems.ts";
import { readableBytes, readableDuration, readableInstant, readablePosition } from "./readable.ts";
import type { Recording } from "./recording.ts";
import { sanitise } from "./sanitise.ts";
import { ledgerSentence, shortfallSentence, shortfallsTitle } from "./shortfalls.ts";

/** The page's elements, filled in. Text enters the document as text only, sanitised where it is not our own. */

export type PageState = "loading" | "ready" | "error" | "missing-session" | "expired";

/** An element of replay.html, by its id. */
export function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`replay.html has no element #${id}`);
  return found;
}

export function showState(state: PageState): void {
  document.documentElement.dataset["state"] = state;
}

/** Takes away what an earlier load showed. */
export function clearPage(): void {
  for (const id of ["replay", "notices", "nothing-playable", "stage", "gaps", "exit", "status"]) element(id).hidden = true;
  element("notices").replaceChildren();
  element("missing-session-reason").textContent = "";
  element("title").textContent = "Recording";
  element("subtitle").textContent = "";
  showProgress(0);
  showState("loading");
}

export function showProgress(receivedBytes: number): void {
  element("progress").textContent = receivedBytes === 0 ? "Loading the recording…" : `Loading the recording… ${readableBytes(receivedBytes)}`;
}

const STATUSES: Record<string, { label: string; kind: Ending["kind"] }> = {
  running: { label: "", kind: "running" },
  finished: { label: "Finished", kind: "good" },
  interrupted: { label: "Interrupted", kind: "care" },
  failed: { label: "Failed", kind: "bad" },
};

export function showRecording(recording: Recording, token: string): void {
  const instance = create("code", sanitise(recording.instanceId));
  element("title").replaceChildren("Recording on ", instance);
  document.title = `${sanitise(recording.instanceId)} · Hansard`;
  const started = readableInstant(recording.startTime) ?? sanitise(recording.startTime);
  const duration = recording.durationMilliseconds === null ? "" : readableDuration(recording.durationMilliseconds);
  const length = duration === "" ? "" : recording.status === "running" ? `${duration} so far` : duration;
  element("subtitle").textContent = [shortened(sanitise(recording.claimedUser)), shortened(sanitise(recording.command)), started, length].filter((part) => part !== "").join(" · ");
  element("terminal-command").textContent = sanitise(recording.command);

  // That it is running is what the badge for its end says.
  const { label, kind } = STATUSES[recording.status] ?? { label: sanitise(recording.status), kind: "quiet" };
  showBadge("status", label, kind);
  element("fact-list").replaceChildren(
    ...instantFact("Started", recording.startTime),
    ...fact("Length", length),
    // How the session ended is known once the recording was read.
    factOf("Ended", create("span", "")),
    ...instantFact("Visible until", recording.expireTime, recording.status === "running" ? "if it ended now" : ""),
    ...fact("User", sanitise(recording.claimedUser), { note: "as the agent claims; not proven" }),
    ...fact("Command", sanitise(recording.command), { tag: "code" }),
    ...fact("Recorded by", sanitise(recording.recorder)),
    ...fact("Losses and limits", recording.ledger === null ? "" : sanitise(ledgerSentence(recording.ledger))),
    tokenFact(token),
  );
  element("replay").hidden = false;
}

function showBadge(id: string, text: string, kind: Ending["kind"]): void {
  const badge = element(id);
  badge.textContent = text;
  badge.dataset["kind"] = kind;
  badge.hidden = text === "";
}

/** Says what is special about this recording: still running, damaged, too large a terminal. */
export function showNotices(recording: Recording, cast: Cast | null, reload: () => void): void {
  const notices: HTMLElement[] = [];
  if (recording.status === "running") {
    const button = create("button", "Load what came since");
    button.type = "button";
    button.id = "reload";
    button.className = "button";
    button.addEventListener("click", reload);
    notices.push(notice("This session is still running. You see what was recorded until you opened this page.", "plain", button));
  }
  if (recording.status === "interrupted") {
    notices.push(notice("This recording was interrupted: it stops before the session ended. What happened after its last moment was not received."));
  }
  if (cast?.damage) {
    const { line, why } = cast.damage;
    notices.push(
      notice(`This recording is damaged. Everything before the damage is shown, nothing after it. (Line ${line} cannot be read: ${sanitise(why)}.)`),
    );
  }
  if (cast?.tooLarge) {
    const { columns, rows } = cast.tooLarge;
    notices.push(
      notice(
        `The recorded terminal was ${columns} × ${rows}. This page draws at most ${LARGEST_COLUMNS} columns, ${LARGEST_ROWS} rows and ` +
          `${MOST_CELLS.toLocaleString("en")} cells, so that lines stand here otherwise than the person saw them. The recording itself is whole.`,
      ),
    );
  }
  const list = element("notices");
  list.replaceChildren(...notices);
  list.hidden = notices.length === 0;
}

/** Lists what the recording lacks and says how the session ended. A place can be gone to where there is something to play. */
export function showOutcome(recording: Recording, cast: Cast | null, seek: ((milliseconds: number) => void) | null): void {
  const shortfalls = cast?.shortfalls ?? [];
  const ending = endingOf(recording.status, cast?.exit ?? null);
  showBadge("exit", sanitise(ending.label), ending.kind);
  element("exit").title = sanitise(ending.sentence);
  for (const term of element("fact-list").querySelectorAll("dt")) {
    if (term.textContent === "Ended") term.nextElementSibling?.replaceChildren(sanitise(ending.sentence));
  }
  element("gaps-title").textContent = shortfallsTitle(shortfalls);
  element("gap-list").replaceChildren(
    ...shortfalls.slice(0, MOST_LISTED_GAPS).map((shortfall) => {
      const position = readablePosition(shortfall.milliseconds);
      const item = create("li", "");
      if (seek !== null) {
        const button = create("button", position);
        button.type = "button";
        button.className = "button";
        button.setAttribute("aria-label", `Go to the ${shortfall.kind} at ${position}`);
        button.addEventListener("click", () => seek(shortfall.milliseconds));
        item.append(button);
      }
      item.dataset["kind"] = shortfall.isLoss ? "loss" : "limit";
      item.append(create("span", sanitise(shortfallSentence(shortfall))));
      return item;
    }),
  );
  const unlisted = shortfalls.length - MOST_LISTED_GAPS;
  if (unlisted > 0) element("gap-list").append(create("li", `${unlisted} more are marked on the time line.`));
  element("gaps").hidden = shortfalls.length === 0;
}

const MOST_LISTED_GAPS = 100;

/** The beginning of a text that may be of any length. */
function shortened(text: string): string {
  const characters = [...text.slice(0, 400)];
  return characters.length > 120 || text.length > 400 ? `${characters.slice(0, 119).join("")}…` : text;
}

export function showNothingPlayable(recording: Recording, isSomethingMissing: boolean): void {
  const why =
    recording.status === "running"
      ? "The session has printed nothing so far, or nothing of it has arrived yet. Try again in a moment."
      : recording.status === "failed"
        ? "The recording failed before any output of the session was received."
        : "The session printed nothing while it was recorded.";
  element("nothing-playable-reason").textContent = !isSomethingMissing ? why : `${why} What is known to be missing is listed here.`;
  element("nothing-playable").hidden = false;
}

export function showMissingSession(token: string, reason: string): void {
  element("missing-session-reason").textContent = reason;
  element("open-command").textContent = `hansard recordings open ${token}`;
  element("missing-session-token").textContent = token;
  element("title").textContent = "Recording";
  showState("missing-session");
}

export function showProblem(problem: Problem, tryAgain: () => void): void {
  element("failure-title").textContent = problem.title;
  element("failure-message").textContent = problem.happened;
  element("failure-advice").textContent = problem.advice;
  element("failure-facts").replaceChildren(...problem.details.map(({ name, value }) => factOf(name, create("code", value))));
  const button = element("try-again") as HTMLButtonElement;
  element("failure-actions").hidden = !problem.canTryAgain;
  button.onclick = tryAgain;
  element("replay").hidden = true;
  element("notices").hidden = true;
  showState(problem.kind);
}

/** Makes each button that names an element copy that element's text. */
export function connectCopyButtons(root: ParentNode): void {
  for (const button of root.querySelectorAll<HTMLButtonElement>("button[data-copies]")) {
    button.addEventListener("click", () => void copyText(element(button.dataset["copies"] ?? ""), button));
  }
}

async function copyText(source: HTMLElement, button: HTMLButtonElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    announce("Copied.");
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  } catch {
    // Over plain HTTP a browser keeps the clipboard to itself: select the text, so that one key press copies it.
    getSelection()?.selectAllChildren(source);
    announce("Selected; press Ctrl+C to copy.");
  }
}

function announce(text: string): void {
  element("announcement").textContent = text;
}

function notice(text: string, kind: "warning" | "plain" = "warning", action?: HTMLElement): HTMLElement {
  const box = create("div", "");
  box.className = kind === "warning" ? "notice" : "notice plain";
  box.append(create("span", text));
  if (action !== undefined) box.append(action);
  return box;
}

function fact(name: string, value: string, { tag = "span", note = "" }: { tag?: "span" | "code"; note?: string } = {}): HTMLElement[] {
  if (value === "") return [];
  const shown = create(tag, value);
  shown.className = "fact-value";
  return [note === "" ? factOf(name, shown) : factOf(name, shown, create("small", note))];
}

function instantFact(name: string, instant: string, note = ""): HTMLElement[] {
  const readable = readableInstant(instant);
  if (readable === null) return fact(name, sanitise(instant), { note });
  const time = create("time", readable);
  time.dateTime = instant;
  time.title = `${new Date(instant).toLocaleString()} here`;
  return [note === "" ? factOf(name, time) : factOf(name, time, create("small", note))];
}

function tokenFact(token: string): HTMLElement {
  const code = create("code", token);
  code.id = "token";
  const button = create("button", "Copy");
  button.type = "button";
  button.className = "button";
  button.dataset["copies"] = "token";
  button.setAttribute("aria-label", "Copy the token");
  const group = factOf("Token", code, " ", button);
  connectCopyButtons(group);
  return group;
}

function factOf(name: string, ...value: (Node | string)[]): HTMLElement {
  const group = create("div", "");
  const description = create("dd", "");
  description.append(...value);
  group.append(create("dt", name), description);
  return group;
}

function create<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, text: string): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  return made;
}
