import { sanitise } from "./sanitise.ts";

/** A call that did not succeed, in the server's words where it gave any. */
export class ReplayFailure extends Error {
  readonly status: number | null;
  readonly code: string;
  readonly requestId: string | null;

  constructor(status: number | null, code: string, message: string, requestId: string | null) {
    super(message);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

/** What happened and what to do about it, in words for the person who watches. */
export interface Problem {
  title: string;
  happened: string;
  /** What to do; empty where there is nothing to do. */
  advice: string;
  kind: "error" | "expired";
  canTryAgain: boolean;
  /** For whoever is asked for help: code, request id, and the server's own words. */
  details: { name: string; value: string }[];
}

/** Codes of failures that this page finds itself. */
export const PAGE_CODES = {
  address: "WrongAddress",
  unreachable: "Unreachable",
  interrupted: "Interrupted",
  unreadableReply: "UnreadableReply",
  unreadableRecording: "UnreadableRecording",
  noWebAssembly: "WebAssemblyUnavailable",
  player: "PlayerFailed",
  page: "PageError",
} as const;

const TERMINAL = "Or play the recording in a terminal, with hansard recordings play.";

/** Explains a failure. The server's words are sanitised here. */
export function problemOf(failure: ReplayFailure): Problem {
  const words = wordsFor(failure);
  const details = [{ name: "Code", value: sanitise(failure.code) }];
  if (failure.message !== "") details.push({ name: "Reason", value: sanitise(failure.message) });
  if (failure.requestId !== null) details.push({ name: "RequestId", value: sanitise(failure.requestId) });
  return { kind: "error", canTryAgain: false, ...words, details };
}

type Words = Pick<Problem, "title" | "happened" | "advice"> & Partial<Problem>;

function wordsFor({ code, status }: ReplayFailure): Words {
  switch (code) {
    case PAGE_CODES.address:
      return {
        title: "This link names no recording",
        happened: "The address ends with the recording's token, which has 32 digits and letters from a to f. In this one the token is missing or incomplete.",
        advice: "Copy the whole link again. If it came in a message, it may have been broken over two lines.",
      };
    case PAGE_CODES.unreachable:
      return {
        title: "The server cannot be reached",
        happened: "The server did not answer. The network may be down, or the server may have been stopped.",
        advice: "Check your connection, then try again. The recording itself is not affected.",
        canTryAgain: true,
      };
    case PAGE_CODES.interrupted:
      return {
        title: "The recording stopped arriving",
        happened: "The connection was lost while the recording was being loaded. Nothing of it is shown, because its end is missing.",
        advice: "Try again. The recording itself is not affected.",
        canTryAgain: true,
      };
    case PAGE_CODES.unreadableReply:
    case "InvalidAction.NotFound":
    case "UnsupportedHTTPMethod":
      return {
        title: "This page and the server do not understand each other",
        happened: "The server does not answer as this page expects. It may be older than this page, or something between the two may have answered in its place.",
        advice: "Reload this page. If that does not help, tell the administrator of this server: it may need an update.",
        canTryAgain: true,
      };
    case PAGE_CODES.unreadableRecording:
      return {
        title: "This page cannot read the recording",
        happened: "The recording arrived, but it is damaged, or it was made in a newer format than this page knows.",
        advice: "Ask an administrator to check it, with hansard recordings verify.",
      };
    case PAGE_CODES.noWebAssembly:
      return {
        title: "This browser does not run the player",
        happened: "The player needs WebAssembly, which is switched off in this browser.",
        advice: `Allow WebAssembly for this site, or use another browser. ${TERMINAL}`,
      };
    case PAGE_CODES.player:
      return {
        title: "The player stopped",
        happened: "Something in this recording made the player fail. The recording itself is not affected.",
        advice: `Reload this page and seek past that moment. ${TERMINAL}`,
      };
    case PAGE_CODES.page:
      return { title: "This page failed", happened: "This is a fault of the page, not of the recording.", advice: `Reload this page. ${TERMINAL}` };
    case "InstanceRecord.Expired":
      return {
        kind: "expired",
        title: "This recording has expired",
        happened: "It was kept visible for a limited time, and that time is over. Nobody can watch it here any more.",
        advice: "The recorded objects stay in the bucket. Somebody with access to the bucket can still verify and play them.",
      };
    case "InvalidTerminalSessionToken.NotFound":
      return {
        title: "There is no such recording",
        happened: "This server has no recording with the token in the link, or not one that you may watch.",
        advice: "Check that the link is complete and belongs to this server.",
      };
    case "Forbidden.RAM":
      return {
        title: "You may not watch this recording",
        happened: "Your permission to watch it has been taken away or has run out since the link was made.",
        advice: "Ask an administrator to let you view recordings of this instance (the action ecs-workbench:ViewInstanceRecords), then open a new link.",
      };
    case "InstanceRecord.EvidenceChanged":
      return {
        title: "The stored recording was changed",
        happened: "What lies in the bucket is not what was recorded: somebody changed or replaced it after it was accepted. It is not shown.",
        advice: "Tell whoever is responsible for security. hansard recordings verify says which part was changed.",
      };
    case "ObjectNotFound":
      return {
        title: "A part of the recording is missing",
        happened: "The server knows this recording, but a part of it is no longer in the bucket.",
        advice: "Tell an administrator. hansard recordings verify says which part is missing.",
      };
    case "Throttling.User":
    case "Throttling":
      return {
        title: "Too many requests",
        happened: "The server has had more requests from here than it takes in this time.",
        advice: "Wait half a minute, then try again.",
        canTryAgain: true,
      };
    default:
      return status !== null && status >= 500
        ? {
            title: "The server has a problem",
            happened: "The server could not answer. The recording itself is not affected.",
            advice: "Try again in a minute. If it goes on, give the administrator of this server the RequestId below.",
            canTryAgain: true,
          }
        : {
            title: "The recording cannot be shown",
            happened: "The server refused to send it.",
            advice: "Open a new link to the recording. If that does not help, give the administrator of this server the details below.",
          };
  }
}

/** Why there is no session to watch with; empty where nothing was tried. */
export function whyNoSession(refused: ReplayFailure | null, ticketWasTaken: boolean): string {
  if (refused === null) {
    return ticketWasTaken ? "The link was accepted, but this browser did not keep the cookie that goes with it. Allow cookies for this site, then open a new link." : "";
  }
  switch (refused.code) {
    case "InvalidReplayTicket.Expired":
      return "This link has expired: it is valid for five minutes after it was made.";
    case "InvalidReplayTicket.Used":
      return "This link was used before: each link opens the recording once, in one browser.";
    case "InvalidReplayTicket":
      return "This link is not valid. A part of it may have been lost when it was copied.";
    default:
      return `The server did not accept this link: ${sanitise(refused.message)}`;
  }
}
