// The link leads to a run that the server does not have.
import { Link } from "@tanstack/react-router";
import { buttonClass } from "@/ui/button";

export function NoSuchRun({ runId }: { runId: string }) {
  return (
    <div className="mx-auto max-w-lg px-4 py-16">
      <h1>There is no such run</h1>
      <p className="mt-1 text-muted">
        The server has no run <code className="text-ink">{runId}</code>. It may have been removed, or belong to another server.
      </p>
      <p className="mt-4">
        <Link to="/runs" search={{}} className={buttonClass("primary")}>
          All runs
        </Link>
      </p>
    </div>
  );
}
