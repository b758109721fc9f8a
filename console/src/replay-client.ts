import { type Cast, CastReader } from "./cast.ts";
import { type Recording, readRecording } from "./recording.ts";
import { PAGE_CODES, ReplayFailure } from "./problems.ts";

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
    throw new ReplayFailure(response.status, PAGE_CODES.unreadableReply, "The reply about the recording is not JSON.", requestIdOf(response));
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
        throw new ReplayFailure(response.status, PAGE_CODES.interrupted, String(problem), requestIdOf(response));
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
    throw new ReplayFailure(null, PAGE_CODES.unreachable, "", null);
  }
  if (response.ok) return response;
  const reply = (await response.json().catch(() => null)) as Record<string, unknown> | null;
  const { Code: code, Message: message, RequestId: requestId } = typeof reply === "object" && reply !== null ? reply : {};
  throw new ReplayFailure(
    response.status,
    // A refusal of this server always has a code. What has none comes from an older server or from a proxy; a fault of
    // a server or of a proxy is told by its status.
    typeof code === "string" ? code : response.status >= 500 ? `HTTP ${response.status}` : PAGE_CODES.unreadableReply,
    typeof message === "string" ? message : `The server answered with HTTP status ${response.status} and gave no reason.`,
    typeof requestId === "string" ? requestId : requestIdOf(response),
  );
}

function requestIdOf(response: Response): string | null {
  return response.headers.get("x-acs-request-id");
}
