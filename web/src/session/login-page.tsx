// Signing in: a token is traded for a session cookie. The one-time link that the server prints is handled by the server.
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useLocation } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { signIn, useSession } from "@/api/session";
import { Button } from "@/ui/button";
import { Alert } from "@/ui/message";

export function LoginPage() {
  const client = useQueryClient();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const session = useSession();
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      await signIn(token.trim());
      await client.resetQueries();
      if (pathname === "/sign-in") await navigate({ to: "/" });
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit} className="mx-auto w-full max-w-md px-4 py-16">
      <h1>Sign in</h1>
      {session.data?.authenticated === true && <p className="mt-1 text-muted">You are signed in already, as {session.data.role}. Another token replaces this session.</p>}
      <p className="mt-1 text-muted">
        This server asks who you are. Paste a token; whoever runs the server makes one with <code className="text-ink">millrace token create --role run</code>. At its first start the server also prints a link that signs in an administrator once.
      </p>
      <label className="mt-4 block font-medium" htmlFor="token">
        Token
      </label>
      <input
        id="token"
        type="password"
        autoComplete="current-password"
        required
        value={token}
        onChange={(event) => setToken(event.target.value)}
        className="mt-1 h-8 w-full rounded-md border border-line-strong bg-raised px-2 font-mono"
      />
      <div className="mt-3 flex items-center gap-3">
        <Button type="submit" look="primary" disabled={busy || token.trim() === ""}>
          {busy ? "Signing in …" : "Sign in"}
        </Button>
      </div>
      {problem !== "" && (
        <div className="mt-3">
          <Alert>{problem}</Alert>
        </div>
      )}
    </form>
  );
}
