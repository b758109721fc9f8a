/** What the address of the replay page says. */
export interface ReplayAddress {
  /** The recording's token, or null when the path names none. */
  token: string | null;
  /** The short-lived ticket of the fragment, or null when there is none. */
  ticket: string | null;
}

const PATH = /^\/view\/instance\/record\/replay\/([0-9a-f]{32})\/?$/;

/**
 * Reads the address. The token's shape is checked strictly, because the page puts it into a command that people
 * copy into a shell.
 */
export function readReplayAddress(location: { pathname: string; hash: string }): ReplayAddress {
  const token = PATH.exec(location.pathname)?.[1] ?? null;
  const ticket = new URLSearchParams(location.hash.replace(/^#/, "")).get("ticket");
  return { token, ticket: ticket === "" ? null : ticket };
}
