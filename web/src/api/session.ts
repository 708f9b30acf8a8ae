// Who the browser is to the server: a cookie the page never sees, asked for and made by three small REST calls.
import { useQuery, type QueryClient } from "@tanstack/react-query";

export interface Session {
  authenticated: boolean;
  role: string;
  mode: "dev" | "serve";
}

const KEY = ["session"] as const;
const URL_PATH = "/api/session";

/** The session as the server sees it. */
export function useSession() {
  return useQuery({ queryKey: KEY, queryFn: readSession, staleTime: 60_000, retry: 1 });
}

/** What the caller may do; the server checks it all again. */
export function useRights(): { run: boolean; admin: boolean; mode: Session["mode"] } {
  const { data } = useSession();
  const role = data?.role ?? "admin";
  return { run: role === "admin" || role === "run", admin: role === "admin", mode: data?.mode ?? "dev" };
}

/** Trades a token for a session cookie. Throws with what went wrong, for people. */
export async function signIn(token: string): Promise<void> {
  const answer = await fetch(URL_PATH, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) });
  if (answer.ok) return;
  throw new Error(answer.status === 401 || answer.status === 403 ? "The server does not know this token, or it is no longer good." : `The server answered ${answer.status}.`);
}

export async function signOut(client: QueryClient): Promise<void> {
  await fetch(URL_PATH, { method: "DELETE" });
  await client.invalidateQueries({ queryKey: KEY });
}

/** A call was refused: the session is looked at again, and the sign-in page takes over. */
export function signedOut(client: QueryClient): void {
  void client.invalidateQueries({ queryKey: KEY });
}

async function readSession(): Promise<Session> {
  const answer = await fetch(URL_PATH);
  if (answer.status === 401) return { authenticated: false, role: "", mode: "serve" };
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const body = (await answer.json()) as Partial<Session>;
  return { authenticated: body.authenticated === true, role: body.role ?? "", mode: body.mode === "serve" ? "serve" : "dev" };
}
