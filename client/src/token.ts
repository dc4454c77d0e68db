import { UnauthorizedError } from "centrifuge";

/** Requests a connection token with the page's cookies; empty for an anonymous visitor, who connects without one. */
export async function askForToken(url: string): Promise<string> {
  const answer = await fetch(url, { method: "POST", credentials: "include" });
  if (answer.status === 401) {
    return "";
  }
  if (answer.status === 403 || answer.status === 404) {
    throw new UnauthorizedError(`${url} answers ${answer.status}`);
  }
  if (!answer.ok) {
    throw new Error(`${url} answers ${answer.status}`);
  }
  const { token } = (await answer.json()) as { token: string };
  return token;
}
