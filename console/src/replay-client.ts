import { type Cast, CastReader } from "./cast.ts";
import { type Recording, readRecording } from "./recording.ts";

/** A call that did not succeed, in the words of the server where it gave any. */
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

/** Exchanges the ticket for a replay cookie, which the browser keeps and scripts cannot read. */
export async function exchangeTicket(token: string, ticket: string): Promise<void> {
  await call(`${recordingPath(token)}/exchange`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ Ticket: ticket }),
  });
}

/** Asks what the recording is. */
export async function fetchRecording(token: string): Promise<Recording> {
  const response = await call(recordingPath(token));
  try {
    return readRecording(await response.json());
  } catch {
    throw new ReplayFailure(response.status, "UnreadableReply", "The server's reply about the recording is not JSON.", requestIdOf(response));
  }
}

/** Loads the whole decoded recording; null when it is empty. */
export async function fetchCast(token: string, onProgress: (receivedBytes: number) => void): Promise<Cast | null> {
  const response = await call(`${recordingPath(token)}/cast`);
  const cast = new CastReader();
  if (response.body === null) return cast.finish();
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let receivedBytes = 0;
  try {
    for (;;) {
      const piece = await reader.read().catch((problem: unknown) => {
        throw new ReplayFailure(response.status, "Interrupted", `The recording stopped arriving: ${String(problem)}`, requestIdOf(response));
      });
      if (piece.done) break;
      receivedBytes += piece.value.byteLength;
      cast.push(decoder.decode(piece.value, { stream: true }));
      onProgress(receivedBytes);
    }
  } finally {
    // After an early end the rest of the transfer is of no use; what cancelling says does not matter any more.
    void reader.cancel().catch(() => undefined);
  }
  cast.push(decoder.decode());
  return cast.finish();
}

function recordingPath(token: string): string {
  return `/replay/v1/recordings/${token}`;
}

async function call(path: string, request: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...request, credentials: "same-origin", cache: "no-store", referrerPolicy: "no-referrer", redirect: "error" });
  } catch {
    throw new ReplayFailure(null, "Unreachable", "The server did not answer. Check the connection, then try again.", null);
  }
  if (response.ok) return response;
  const reply = (await response.json().catch(() => null)) as Record<string, unknown> | null;
  throw new ReplayFailure(
    response.status,
    typeof reply?.["Code"] === "string" ? reply["Code"] : `HTTP ${response.status}`,
    typeof reply?.["Message"] === "string" ? reply["Message"] : "The server gave no further explanation.",
    typeof reply?.["RequestId"] === "string" ? reply["RequestId"] : requestIdOf(response),
  );
}

function requestIdOf(response: Response): string | null {
  return response.headers.get("x-acs-request-id");
}
