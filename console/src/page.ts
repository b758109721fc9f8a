import type { Cast, Exit } from "./cast.ts";
import { readableBytes, readableDuration, readableInstant, readablePosition } from "./readable.ts";
import type { Recording } from "./recording.ts";
import type { ReplayFailure } from "./replay-client.ts";
import { sanitise } from "./sanitise.ts";

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
  for (const id of ["facts", "notices", "nothing-playable", "stage", "gaps", "exit", "status"]) element(id).hidden = true;
  element("notices").replaceChildren();
  element("missing-session-reason").textContent = "";
  element("title").textContent = "Recording";
  showProgress(0);
  showState("loading");
}

export function showProgress(receivedBytes: number): void {
  element("progress").textContent = receivedBytes === 0 ? "Loading the recording…" : `Loading the recording… ${readableBytes(receivedBytes)}`;
}

export function showRecording(recording: Recording, token: string): void {
  const instance = create("code", sanitise(recording.instanceId));
  element("title").replaceChildren("Recording on ", instance);
  document.title = `${sanitise(recording.instanceId)} · Hansard`;

  const status = element("status");
  status.textContent = sanitise(recording.status);
  status.dataset["status"] = recording.status;
  status.hidden = recording.status === "";

  const facts = element("facts");
  facts.querySelector("dl")?.replaceChildren(
    ...instantFact("Started", recording.startTime),
    ...fact(recording.status === "running" ? "Duration so far" : "Duration", recording.durationMilliseconds === null ? "" : readableDuration(recording.durationMilliseconds)),
    ...instantFact(recording.status === "running" ? "Expires (provisional)" : "Expires", recording.expireTime),
    ...fact("Recorded user (claimed)", sanitise(recording.claimedUser)),
    ...fact("Command", sanitise(recording.command), "code"),
    ...fact("Recorder", sanitise(recording.recorder)),
    ...tokenFact(token),
  );
  facts.hidden = false;
}

/** Says what is special about this recording: still running, damaged, too large a terminal. */
export function showNotices(recording: Recording, cast: Cast | null, reload: () => void): void {
  const notices: HTMLElement[] = [];
  if (recording.status === "running") {
    const button = create("button", "Reload");
    button.type = "button";
    button.id = "reload";
    button.addEventListener("click", reload);
    notices.push(notice("This session is still being recorded. What has arrived so far is shown.", "plain", button));
  }
  if (recording.status === "interrupted") {
    notices.push(notice("This recording was closed without the session's end: what came after its last moment was not received."));
  }
  if (cast?.damage) {
    const { line, why } = cast.damage;
    notices.push(notice(`Line ${line} of this recording cannot be read: ${sanitise(why)}. What stands before it is shown; what stands after it is not.`));
  }
  if (cast?.sizeLimited) {
    notices.push(notice("The recorded terminal was larger than this page draws; what lies outside is cut off."));
  }
  const list = element("notices");
  list.replaceChildren(...notices);
  list.hidden = notices.length === 0;
}

function exitSentence(exit: Exit): string {
  if ("code" in exit) return `The recorded command ended with exit status ${exit.code}.`;
  if ("signal" in exit) return `The recorded command was ended by signal ${exit.signal}.`;
  return `The recorded command ended: ${sanitise(exit.words)}`;
}

/** Lists the gaps and says how the command ended. A gap can be gone to where there is something to play. */
export function showOutcome(cast: Cast, seek: ((milliseconds: number) => void) | null): void {
  const { gaps, exit } = cast;
  element("exit").textContent = exit === null ? "" : exitSentence(exit);
  element("exit").hidden = exit === null;
  element("gaps-title").textContent = gaps.length === 1 ? "A gap in the recording" : `${gaps.length} gaps in the recording`;
  element("gap-list").replaceChildren(
    ...gaps.map((gap) => {
      const position = readablePosition(gap.milliseconds);
      const lost = gap.lostBytes === null ? "" : ` (${readableBytes(gap.lostBytes)} lost)`;
      const item = create("li", "");
      if (seek !== null) {
        const button = create("button", position);
        button.type = "button";
        button.setAttribute("aria-label", `Go to the gap at ${position}`);
        button.addEventListener("click", () => seek(gap.milliseconds));
        item.append(button);
      }
      item.append(create("span", `A gap in the recording at ${position}: ${sanitise(gap.reason)}${lost}`));
      return item;
    }),
  );
  element("gaps").hidden = gaps.length === 0;
}

export function showNothingPlayable(recording: Recording, gaps: number): void {
  const why =
    recording.status === "running"
      ? "Nothing has arrived yet. Reload in a moment."
      : recording.status === "failed"
        ? "This recording failed before any output of the session was received."
        : "The session printed nothing while it was recorded.";
  element("nothing-playable-reason").textContent = gaps === 0 ? why : `${why} What is known to be missing is listed below.`;
  element("nothing-playable").hidden = false;
}

export function showMissingSession(token: string, reason: string): void {
  element("missing-session-reason").textContent = reason;
  element("open-command").textContent = `hansard recordings open ${token}`;
  element("missing-session-token").textContent = token;
  element("title").textContent = "Recording";
  showState("missing-session");
}

export function showFailure(state: "error" | "expired", failure: ReplayFailure, tryAgain: (() => void) | null): void {
  element("failure-title").textContent = state === "expired" ? "This recording has expired" : "The recording cannot be shown";
  element("failure-message").textContent = sanitise(failure.message);
  element("failure-facts").replaceChildren(
    ...plainFact("Code", sanitise(failure.code)),
    ...(failure.requestId === null ? [] : plainFact("RequestId", sanitise(failure.requestId))),
  );
  const button = element("try-again") as HTMLButtonElement;
  button.hidden = tryAgain === null;
  button.onclick = tryAgain;
  showState(state);
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
  box.className = kind === "warning" ? "notice warning" : "notice";
  box.append(create("span", text));
  if (action !== undefined) box.append(action);
  return box;
}

function fact(name: string, value: string, tag: "span" | "code" = "span"): HTMLElement[] {
  if (value === "") return [];
  const shown = create(tag, value);
  shown.className = "fact-value";
  return [factOf(name, shown)];
}

function instantFact(name: string, instant: string): HTMLElement[] {
  const readable = readableInstant(instant);
  if (readable === null) return fact(name, sanitise(instant));
  const time = create("time", readable);
  time.dateTime = instant;
  time.title = `${new Date(instant).toLocaleString()} here`;
  return [factOf(name, time)];
}

function tokenFact(token: string): HTMLElement[] {
  const code = create("code", token);
  code.id = "token";
  const button = create("button", "Copy");
  button.type = "button";
  button.className = "plain";
  button.dataset["copies"] = "token";
  button.setAttribute("aria-label", "Copy the token");
  const group = factOf("Token", code, " ", button);
  connectCopyButtons(group);
  return [group];
}

function factOf(name: string, ...value: (Node | string)[]): HTMLElement {
  const group = create("div", "");
  const description = create("dd", "");
  description.append(...value);
  group.append(create("dt", name), description);
  return group;
}

function plainFact(name: string, value: string): HTMLElement[] {
  return [create("dt", name), create("dd", value)];
}

function create<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, text: string): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  return made;
}
