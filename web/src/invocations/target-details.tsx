// What is known of one target: its message, its outputs, and each attempt at its test with its logs.
import { millis } from "@/api/state";
import type { InvocationTarget, InvocationTest, TestAttempt } from "@/gen/millrace/v1/invocation_pb";
import { Ago, durationText } from "@/ui/time";
import { FileLine } from "./build-file";
import { attemptText, TargetLabel } from "./standing";

export function TargetDetails({ target }: { target: InvocationTarget }) {
  const facts = [target.kind, target.testSize === "" ? "" : `size ${target.testSize.toLowerCase()}`, target.configuration === "" ? "" : `configuration ${target.configuration.slice(0, 10)}`, target.tags.length === 0 ? "" : `tags ${target.tags.join(", ")}`].filter((part) => part !== "");
  const cut = target.outputsTotal - BigInt(target.outputs.length);
  return (
    <div className="pb-3 pl-5 sm:pl-[9rem]">
      {target.message !== "" && <p className="mb-1 break-words text-bad">{target.message}</p>}
      {facts.length > 0 && <p className="text-muted">{facts.join(" · ")}</p>}
      {target.test !== undefined && <Attempts test={target.test} label={target.label} />}
      {target.outputs.length > 0 && (
        <>
          <p className="mt-2 font-medium">Outputs</p>
          <ul aria-label={`Outputs of ${target.label}`}>
            {target.outputs.map((file, index) => (
              <FileLine key={index} file={file} />
            ))}
            {cut > 0n && <li className="text-muted">and {String(cut)} more that are not listed</li>}
          </ul>
        </>
      )}
    </div>
  );
}

function Attempts({ test, label }: { test: InvocationTest; label: string }) {
  return (
    <ul aria-label={`Attempts at ${label}`} className="mt-2 grid gap-2">
      {test.attempts.map((attempt) => (
        <Attempt key={`${attempt.run} ${attempt.shard} ${attempt.attempt}`} attempt={attempt} shards={test.shards} />
      ))}
    </ul>
  );
}

function Attempt({ attempt, shards }: { attempt: TestAttempt; shards: number }) {
  const how = [attempt.cachedLocally ? "cached here by the build tool" : attempt.cachedRemotely ? "from the remote cache" : attempt.strategy, attempt.exitCode !== 0 ? `exit code ${attempt.exitCode}` : ""].filter((part) => part !== "");
  return (
    <li className="border-l-2 pl-3">
      <div className="flex flex-wrap items-center gap-x-3">
        <TargetLabel status={attempt.status} />
        <span className="font-medium">{attemptText(attempt, shards)}</span>
        <span>{durationText(Number(attempt.durationMs))}</span>
        <span className="text-muted">{how.join(", ")}</span>
        <span className="text-muted">
          <Ago at={millis(attempt.startedAt)} />
        </span>
      </div>
      {attempt.message !== "" && <p className="break-words text-bad">{attempt.message}</p>}
      <ul>
        {attempt.outputs.map((file, index) => (
          <FileLine key={index} file={file} unfolds={/\.(log|xml|txt)$/.test(file.name)} />
        ))}
      </ul>
    </li>
  );
}
