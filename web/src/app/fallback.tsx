// What is shown when a page is missing or broken: what happened, and what to do.
import { Link, useRouter, type ErrorComponentProps } from "@tanstack/react-router";
import { errorText } from "@/api/transport";
import { Button, buttonClass } from "@/ui/button";
import { CopyButton } from "@/ui/copy";

export function NotFoundPage() {
  return (
    <div className="mx-auto max-w-lg px-4 py-16">
      <h1>There is nothing at this address</h1>
      <p className="mt-1 text-muted">
        <code>{location.pathname}</code> leads nowhere. The link may be cut off, or what it led to was removed.
      </p>
      <p className="mt-4 flex gap-2">
        <Link to="/runs" search={{}} className={buttonClass("primary")}>
          All runs
        </Link>
        <Link to="/" className={buttonClass("plain")}>
          Home
        </Link>
      </p>
    </div>
  );
}

export function ErrorPage({ error: thrown }: ErrorComponentProps) {
  const router = useRouter();
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const details = `${error.name}: ${error.message}\n${error.stack ?? ""}\n${location.href}\n${navigator.userAgent}`;
  // A page of a newer build was asked for by an older one: only loading anew helps.
  const stale = /dynamically imported module|module script/i.test(error.message);
  return (
    <div role="alert" className="mx-auto max-w-lg px-4 py-16">
      <h1>{stale ? "The server has newer pages" : "This page broke"}</h1>
      <p className="mt-1 text-muted">
        {stale ? "Load the page again to get them." : errorText(error)} {!stale && "Nothing that runs is affected: runs go on without a browser. Try again; if it breaks again, report it with the details."}
      </p>
      <p className="mt-4 flex gap-2">
        <Button look="primary" onClick={() => (stale ? location.reload() : void router.invalidate())}>
          {stale ? "Load again" : "Try again"}
        </Button>
        <CopyButton text={details} label="Copy the details" look="plain">
          Copy the details
        </CopyButton>
      </p>
    </div>
  );
}
