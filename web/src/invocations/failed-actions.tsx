// The actions that made a build fail: which, why, and what they printed.
import type { FailedAction } from "@/gen/millrace/v1/invocation_pb";
import { Command } from "@/ui/copy";
import { Beginning } from "./build-file";

export function FailedActions({ actions }: { actions: readonly FailedAction[] }) {
  if (actions.length === 0) return null;
  return (
    <section aria-labelledby="failed" className="mb-5">
      <h2 id="failed" className="border-b pb-1">
        {actions.length === 1 ? "An action failed" : `${actions.length} actions failed`}
      </h2>
      <ul aria-labelledby="failed" className="grid gap-4 pt-2">
        {actions.map((action, index) => (
          <li key={index} className="min-w-0">
            <p>
              <span className="font-medium text-bad [overflow-wrap:anywhere]">{action.label === "" ? action.primaryOutput : action.label}</span>{" "}
              <span className="text-muted">
                {action.mnemonic}
                {action.exitCode !== 0 && ` · exit code ${action.exitCode}`}
              </span>
            </p>
            {action.message !== "" && <p className="break-words">{action.message}</p>}
            {action.stderr !== undefined && <Beginning file={action.stderr} />}
            {action.stdout !== undefined && <Beginning file={action.stdout} />}
            {action.commandLine.length > 0 && (
              <details className="mt-1">
                <summary className="cursor-pointer text-muted">Its command</summary>
                <div className="mt-1">
                  <Command line={action.commandLine.join(" ")} label="The command of the failed action" />
                </div>
              </details>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
