import { create, type Player } from "asciinema-player";
import type { Cast } from "./cast.ts";
import { drawStandIns } from "./cell-text.ts";
import { type Timeline, withoutPauses, withPauses } from "./pauses.ts";

const LONGEST_PAUSE_MILLISECONDS = 1000;

/**
 * The terminal player with the two settings that it can only take when it is made: it is made anew when one changes,
 * at the same place of the recording. Times are those of the recording, whatever the pauses are shortened to. It draws
 * the terminal only; controls and keys are the page's own (`controls.ts`).
 */
export class ReplayPlayer {
  private readonly container: HTMLElement;
  private readonly cast: Cast;
  private readonly stopDrawing: () => void;
  private timeline: Timeline;
  private player: Player;
  private speed = 1;
  private playing = false;

  constructor(container: HTMLElement, cast: Cast) {
    this.container = container;
    this.cast = cast;
    this.timeline = withPauses(cast.events);
    this.stopDrawing = drawStandIns(container, cast.standIns);
    showPlayback(container, "not-started");
    const firstOutput = cast.events.find(([, code]) => code === "o")?.[0] ?? 0;
    this.player = this.createPlayer();
    // Before it is played, the screen stands just after the first output. Not by the player's own poster: player 3.17
    // feeds the poster's events to the screen and then loses them at the first seek.
    void this.player.seek(this.timeline.toPlayed(firstOutput + 1) / 1000);
  }

  get isPlaying(): boolean {
    return this.playing;
  }

  play(): Promise<unknown> {
    return this.player.play();
  }

  pause(): Promise<unknown> {
    return this.player.pause();
  }

  /** Draws the screen as it was at this time of the recording. */
  async seek(recordedMilliseconds: number): Promise<void> {
    await this.player.seek(this.timeline.toPlayed(recordedMilliseconds) / 1000);
    if (!this.playing) showPlayback(this.container, "paused");
    this.container.dispatchEvent(new Event(SEEKED));
  }

  currentMilliseconds(): number {
    return Math.min(this.timeline.toRecorded(this.player.getCurrentTime() * 1000), this.cast.durationMilliseconds);
  }

  durationMilliseconds(): number {
    return this.cast.durationMilliseconds;
  }

  changeSpeed(speed: number): Promise<void> {
    this.speed = speed;
    return this.recreate(this.timeline);
  }

  shortenPauses(shorten: boolean): Promise<void> {
    const { events } = this.cast;
    return this.recreate(shorten ? withoutPauses(events, LONGEST_PAUSE_MILLISECONDS) : withPauses(events));
  }

  dispose(): void {
    this.stopDrawing();
    this.player.dispose();
  }

  private async recreate(timeline: Timeline): Promise<void> {
    const at = this.currentMilliseconds();
    const { playing } = this;
    this.player.dispose();
    this.timeline = timeline;
    this.player = this.createPlayer();
    await this.seek(at);
    if (playing) await this.player.play();
  }

  private createPlayer(): Player {
    const { columns: cols, rows } = this.cast;
    const { events } = this.timeline;
    // The size is told with the recording and not as an option: an option would win over every resize that follows.
    const player = create({ data: [], parser: () => ({ cols, rows, events }) }, this.container, {
      fit: "none",
      // `terminal-fit.ts` sets it.
      terminalFontSize: "var(--terminal-font-size, 15px)",
      terminalFontFamily: "var(--font-terminal)",
      controls: false,
      keystrokeOverlay: false,
      preload: true,
      speed: this.speed,
      theme: "hansard",
    });
    this.follow(player, "play", "playing");
    this.follow(player, "pause", "paused");
    this.follow(player, "ended", "ended");
    return player;
  }

  private follow(player: Player, eventName: "play" | "pause" | "ended", playback: Playback): void {
    player.addEventListener(eventName, () => {
      this.playing = playback === "playing";
      showPlayback(this.container, playback);
    });
  }
}

/** The event of the container after each seek. */
export const SEEKED = "hansard-seeked";

export type Playback = "not-started" | "playing" | "paused" | "ended";

/** Playback stands in the document, where the controls (and tests) see it change. */
function showPlayback(container: HTMLElement, playback: Playback): void {
  container.dataset["playback"] = playback;
}

/** False where the browser does not run WebAssembly, which the player's terminal model is written in. */
export async function browserRunsPlayer(): Promise<boolean> {
  try {
    // The shortest module there is: the magic number and the version.
    await WebAssembly.compile(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    return true;
  } catch {
    return false;
  }
}
