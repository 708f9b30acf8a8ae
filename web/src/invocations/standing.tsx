// How builds and their targets stand, as icon, word and colour; and the words pages share.
import { State } from "@/api/state";
import { millis } from "@/api/state";
import type { InvocationStatusName } from "@/app/router";
import type { Stretch } from "@/cache/timings";
import { InvocationStatus as Status, TargetStatus as Target, type Invocation, type InvocationTiming, type TestAttempt } from "@/gen/millrace/v1/invocation_pb";
import { StateLabel } from "@/ui/status";

export { Status, Target };

export const STATUS_BY_NAME: Record<InvocationStatusName, Status> = { running: Status.RUNNING, succeeded: Status.SUCCEEDED, failed: Status.FAILED, interrupted: Status.INTERRUPTED, disconnected: Status.DISCONNECTED };

const STATUSES: Record<Status, [State, string]> = {
  [Status.UNSPECIFIED]: [State.UNSPECIFIED, "Unknown"],
  [Status.RUNNING]: [State.RUNNING, "Running"],
  [Status.SUCCEEDED]: [State.SUCCESS, "Succeeded"],
  [Status.FAILED]: [State.FAILURE, "Failed"],
  [Status.INTERRUPTED]: [State.CANCELLED, "Interrupted"],
  [Status.DISCONNECTED]: [State.HELD, "Disconnected"],
};

const TARGETS: Record<Target, [State, string]> = {
  [Target.UNSPECIFIED]: [State.UNSPECIFIED, "Unknown"],
  [Target.PENDING]: [State.PENDING, "To be built"],
  [Target.BUILT]: [State.SUCCESS, "Built"],
  [Target.FAILED_TO_BUILD]: [State.FAILURE, "Not built"],
  [Target.SKIPPED]: [State.SKIPPED, "Skipped"],
  [Target.PASSED]: [State.SUCCESS, "Passed"],
  [Target.FLAKY]: [State.SUCCESS, "Flaky"],
  [Target.FAILED]: [State.FAILURE, "Failed"],
  [Target.TIMED_OUT]: [State.FAILURE, "Timed out"],
  [Target.INCOMPLETE]: [State.CANCELLED, "Incomplete"],
};

/** What "only failures" means. */
export const FAILURES: readonly Target[] = [Target.FAILED_TO_BUILD, Target.FAILED, Target.TIMED_OUT, Target.INCOMPLETE];

export function StatusLabel({ status }: { status: Status }) {
  const [state, word] = STATUSES[status];
  return <StateLabel state={state} word={word} />;
}

export function statusWord(status: Status): string {
  return STATUSES[status][1];
}

export function TargetLabel({ status }: { status: Target }) {
  const [state, word] = TARGETS[status];
  return <StateLabel state={state} word={word} />;
}

/** Something may still come: figures and logs follow an end. */
export function isLive(invocation: Pick<Invocation, "complete">): boolean {
  return !invocation.complete;
}

/** "bazel test //src/..." */
export function invocationTitle(invocation: Invocation): string {
  const tool = invocation.tool.split(" ")[0] ?? "";
  const words = [tool, invocation.command, ...invocation.patterns].filter((word) => word !== "");
  return words.length === 0 ? `Invocation ${invocation.id.slice(0, 8)}` : words.join(" ");
}

/** "ada@mill-3" */
export function whoText({ user, host }: Pick<Invocation, "user" | "host">): string {
  return [user, host].filter((part) => part !== "").join("@");
}

/** "12 targets built, 1 failed · 3 of 4 tests passed" */
export function countsText({ targets, tests }: Pick<Invocation, "targets" | "tests">): string {
  const said: string[] = [];
  if (targets !== undefined && targets.configured + targets.built + targets.failed > 0n) {
    const built = `${targets.built} ${targets.built === 1n ? "target" : "targets"} built`;
    said.push([built, targets.failed > 0n ? `${targets.failed} not built` : "", targets.skipped > 0n ? `${targets.skipped} skipped` : ""].filter((part) => part !== "").join(", "));
  }
  if (tests !== undefined && tests.total > 0n) {
    const passed = tests.passed + tests.flaky;
    said.push([`${passed} of ${tests.total} ${tests.total === 1n ? "test" : "tests"} passed`, tests.flaky > 0n ? `${tests.flaky} flaky` : "", tests.cached > 0n ? `${tests.cached} cached` : ""].filter((part) => part !== "").join(", "));
  }
  return said.join(" · ");
}

/** "run 2, shard 1 of 4, attempt 3"; nothing where there is one of each. */
export function attemptText(attempt: Pick<TestAttempt, "run" | "shard" | "attempt">, shards: number): string {
  return [attempt.run > 0 ? `run ${attempt.run}` : "", attempt.shard > 0 ? `shard ${attempt.shard}${shards > 1 ? ` of ${shards}` : ""}` : "", `attempt ${Math.max(1, attempt.attempt)}`].filter((part) => part !== "").join(", ");
}

/** From the begin of the build; what is not said is left out. */
export function stretches(timing: InvocationTiming | undefined): Stretch[] {
  if (timing === undefined) return [];
  const { analysisMs, actionsStartMs, executionMs } = timing;
  return [
    ...(analysisMs > 0n ? [{ name: "Analysis", start: 0, ms: Number(analysisMs) }] : []),
    ...(executionMs > 0n ? [{ name: "Actions", start: Number(actionsStartMs > 0n ? actionsStartMs : analysisMs), ms: Number(executionMs) }] : []),
  ];
}

/** When it ended, as far as that is known: what broke off ended with its last event. */
export function endOf(invocation: Invocation): number | undefined {
  return millis(invocation.finishedAt) ?? (invocation.status === Status.RUNNING ? undefined : millis(invocation.updatedAt));
}
