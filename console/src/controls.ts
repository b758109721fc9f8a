import type { Cast } from "./cast.ts";
import { element } from "./page.ts";
import { readableClock, readablePosition, spokenDuration } from "./readable.ts";
import { type ReplayPlayer, SEEKED } from "./replay-player.ts";
import { drawTimeline, marksOf } from "./timeline.ts";

/** The controls below the terminal and the keys: everything that a viewer does with a recording. */
export class Controls {
  private current: { player: ReplayPlayer; cast: Cast; startedAt: number | null; marks: number[] } | null = null;
  private readonly track = element("track");
  private readonly speed = element("speed") as HTMLSelectElement;
  private readonly skipIdle = element("skip-idle");
  private frame = 0;
  private sought: number | null = null;

  constructor() {
    this.connectButtons();
    this.connectTrack();
    document.addEventListener("keydown", (event) => this.onKey(event), { capture: true });
    element("player").addEventListener(SEEKED, () => this.showTime());
    new MutationObserver(() => this.showPlayback()).observe(element("player"), { attributeFilter: ["data-playback"] });
  }

  /** Begins with a recording. `startedAt` is the time on the clock at its start, if that is known. */
  attach(player: ReplayPlayer, cast: Cast, startedAt: number | null): void {
    const marks = marksOf(cast);
    this.current = { player, cast, startedAt, marks };
    this.speed.value = "1";
    this.skipIdle.setAttribute("aria-pressed", "false");
    element("previous-mark").hidden = element("next-mark").hidden = marks.length === 0;
    drawTimeline(cast);
    this.showPlayback();
  }

  detach(): void {
    this.current = null;
    cancelAnimationFrame(this.frame);
  }

  seek(milliseconds: number): void {
    if (this.current === null) return;
    const { player } = this.current;
    const isSeeking = this.sought !== null;
    this.sought = Math.min(Math.max(milliseconds, 0), player.durationMilliseconds());
    if (!isSeeking) void this.seekLatest(player);
  }

  /** Of the places that are asked for while the player still seeks, only the last matters. */
  private async seekLatest(player: ReplayPlayer): Promise<void> {
    try {
      for (let reached: number | null = null; this.sought !== null && reached !== this.sought && this.current?.player === player; ) {
        reached = this.sought;
        await player.seek(reached);
      }
    } finally {
      this.sought = null;
    }
  }

  /** Where the player is, or is on its way to. */
  private position(player: ReplayPlayer): number {
    return this.sought ?? player.currentMilliseconds();
  }

  private connectButtons(): void {
    const on = (id: string, act: () => void): void => element(id).addEventListener("click", act);
    on("play", () => this.togglePlay());
    on("back", () => this.move(-10_000));
    on("forward", () => this.move(10_000));
    on("previous-mark", () => this.toMark(-1));
    on("next-mark", () => this.toMark(1));
    on("skip-idle", () => this.toggleSkipIdle());
    on("full-screen", () => this.toggleFullScreen());
    on("show-keys", () => this.showKeys());
    this.speed.addEventListener("change", () => void this.current?.player.changeSpeed(Number(this.speed.value)));
    if (!document.fullscreenEnabled) element("full-screen").hidden = true;
  }

  private connectTrack(): void {
    const { track } = this;
    const at = ({ clientX }: PointerEvent): number => {
      const { left, width } = track.getBoundingClientRect();
      return Math.min(Math.max((clientX - left) / width, 0), 1) * (this.current?.player.durationMilliseconds() ?? 0);
    };
    track.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      track.setPointerCapture(event.pointerId);
      this.seek(at(event));
    });
    const hover = element("hover-time");
    track.addEventListener("pointermove", (event) => {
      if (track.hasPointerCapture(event.pointerId)) this.seek(at(event));
      const { left, width } = track.getBoundingClientRect();
      hover.textContent = readablePosition(at(event));
      hover.style.left = `${Math.min(Math.max(event.clientX - left, 0), width)}px`;
      hover.hidden = event.pointerType !== "mouse";
    });
    track.addEventListener("pointerleave", () => (hover.hidden = true));
  }

  private togglePlay(): void {
    if (this.current === null) return;
    const { player } = this.current;
    void (player.isPlaying ? player.pause() : player.play());
  }

  private move(milliseconds: number): void {
    if (this.current !== null) this.seek(this.position(this.current.player) + milliseconds);
  }

  private toMark(direction: 1 | -1): void {
    if (this.current !== null) this.seekAmong(this.current.marks, direction);
  }

  /** To the change of the screen before or after this moment. */
  private toChange(direction: 1 | -1): void {
    if (this.current === null) return;
    const { player, cast } = this.current;
    void player.pause();
    this.seekAmong([...new Set(cast.events.filter(([, code]) => code !== "m").map(([milliseconds]) => milliseconds))], direction);
  }

  private seekAmong(times: readonly number[], direction: 1 | -1): void {
    if (this.current === null) return;
    const now = this.position(this.current.player);
    // A position just reached lies a little after the event that it shows.
    const found = direction === 1 ? times.find((time) => time > now + 1) : times.findLast((time) => time < now - 2);
    if (found !== undefined) this.seek(found + 1);
    else if (direction === -1) this.seek(0);
  }

  private toggleSkipIdle(): void {
    if (this.current === null) return;
    const skip = this.skipIdle.getAttribute("aria-pressed") !== "true";
    this.skipIdle.setAttribute("aria-pressed", String(skip));
    void this.current.player.shortenPauses(skip);
  }

  private changeSpeed(step: 1 | -1): void {
    const index = this.speed.selectedIndex + step;
    if (this.current === null || index < 0 || index >= this.speed.options.length) return;
    this.speed.selectedIndex = index;
    void this.current.player.changeSpeed(Number(this.speed.value));
  }

  private toggleFullScreen(): void {
    // A browser may refuse; the page is as useful as before then.
    const done = document.fullscreenElement === null ? element("stage").requestFullscreen() : document.exitFullscreen();
    done.catch(() => undefined);
  }

  private showKeys(): void {
    void this.current?.player.pause();
    (element("keys") as HTMLDialogElement).showModal();
  }

  private onKey(event: KeyboardEvent): void {
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    // The player has keys of its own, for things that this page does otherwise or not at all.
    if (target.closest(".ap-wrapper") !== null) event.stopPropagation();
    if (this.current === null || event.altKey || event.ctrlKey || event.metaKey || target.closest("dialog[open], input, textarea, select") !== null) return;
    if ((event.key === " " || event.key === "Enter") && target.closest("button, a, summary") !== null) return;
    if (event.key.startsWith("Arrow") && scrollsSideways(target)) return;
    if (!this.act(event, target === this.track)) return;
    event.preventDefault();
  }

  /** False for a key that means nothing here. */
  private act({ key, shiftKey }: KeyboardEvent, onTrack: boolean): boolean {
    const duration = this.current?.player.durationMilliseconds() ?? 0;
    switch (key) {
      case " ":
      case "k":
        this.togglePlay();
        return true;
      case "j":
        this.move(-10_000);
        return true;
      case "l":
        this.move(10_000);
        return true;
      case "ArrowLeft":
        this.move(shiftKey ? -60_000 : -5000);
        return true;
      case "ArrowRight":
        this.move(shiftKey ? 60_000 : 5000);
        return true;
      case "ArrowDown":
      case "ArrowUp":
        if (onTrack) this.move(key === "ArrowUp" ? 5000 : -5000);
        return onTrack;
      case "PageDown":
      case "PageUp":
        if (onTrack) this.move(key === "PageUp" ? 60_000 : -60_000);
        return onTrack;
      case "Home":
        this.seek(0);
        return true;
      case "End":
        this.seek(duration);
        return true;
      case ",":
        this.toChange(-1);
        return true;
      case ".":
        this.toChange(1);
        return true;
      case "[":
        this.toMark(-1);
        return true;
      case "]":
        this.toMark(1);
        return true;
      case "<":
        this.changeSpeed(-1);
        return true;
      case ">":
        this.changeSpeed(1);
        return true;
      case "s":
        this.toggleSkipIdle();
        return true;
      case "f":
        this.toggleFullScreen();
        return true;
      case "?":
        this.showKeys();
        return true;
      default:
        if (!/^[0-9]$/.test(key)) return false;
        this.seek((Number(key) / 10) * duration);
        return true;
    }
  }

  private showPlayback(): void {
    const playback = element("player").dataset["playback"];
    const playing = playback === "playing";
    const name = playing ? "Pause" : playback === "ended" ? "Play again" : "Play";
    element("play").setAttribute("aria-label", name);
    element("play").title = `${name} (space)`;
    element("play-icon").setAttribute("href", playing ? "#i-pause" : playback === "ended" ? "#i-again" : "#i-play");
    cancelAnimationFrame(this.frame);
    const follow = (): void => {
      this.showTime();
      if (this.current?.player.isPlaying === true) this.frame = requestAnimationFrame(follow);
    };
    // The player notes that it plays a moment before it says so.
    this.frame = requestAnimationFrame(follow);
    this.showTime();
  }

  private showTime(): void {
    if (this.current === null) return;
    const { player, startedAt } = this.current;
    const [now, duration] = [player.currentMilliseconds(), player.durationMilliseconds()];
    element("current-time").textContent = readablePosition(now);
    element("wall-clock").textContent = startedAt === null ? "" : readableClock(startedAt + now);
    element("playhead").style.left = `${duration === 0 ? 100 : (now / duration) * 100}%`;
    const seconds = String(Math.floor(now / 1000));
    if (this.track.getAttribute("aria-valuenow") === seconds) return;
    this.track.setAttribute("aria-valuenow", seconds);
    this.track.setAttribute("aria-valuetext", `${spokenDuration(now)} of ${spokenDuration(duration)}`);
  }
}

/** In a terminal that is wider than the window, the arrows scroll. */
function scrollsSideways(target: HTMLElement): boolean {
  const player = target.closest<HTMLElement>("#player");
  return player !== null && player.scrollWidth > player.clientWidth;
}
