// Where an execution stands, as icon, word and colour; and what a page needs to know of it.
import { Code } from "@connectrpc/connect";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { State } from "@/api/state";
import { functionNamed, inferFunction, type BlobRef } from "@/cache/digest";
import { laid, type Phase } from "@/cache/timings";
import { ExecutionStage as Stage, type Execution } from "@/gen/millrace/v1/queue_pb";
import { StateLabel } from "@/ui/status";

export { Stage };

export function isDone(execution: Execution): boolean {
  return execution.stage === Stage.DONE;
}

export function StageLabel({ execution }: { execution: Execution }) {
  const [state, word] = standing(execution);
  return <StateLabel state={state} word={word} />;
}

export function standing(execution: Pick<Execution, "stage" | "statusCode" | "exitCode">): [State, string] {
  switch (execution.stage) {
    case Stage.QUEUED:
      return [State.QUEUED, "Queued"];
    case Stage.INPUT_FETCH:
      return [State.RUNNING, "Fetching inputs"];
    case Stage.EXECUTING:
      return [State.RUNNING, "Executing"];
    case Stage.OUTPUT_UPLOAD:
      return [State.RUNNING, "Uploading outputs"];
    case Stage.DONE:
      return end(execution.statusCode, execution.exitCode);
    default:
      return [State.UNSPECIFIED, "Unknown"];
  }
}

function end(code: number, exitCode: number | undefined): [State, string] {
  if (code === (Code.Canceled as number)) return [State.CANCELLED, "Cancelled"];
  if (code === (Code.DeadlineExceeded as number)) return [State.FAILURE, "Timed out"];
  if (code !== 0) return [State.FAILURE, "Failed"];
  return exitCode === undefined || exitCode === 0 ? [State.SUCCESS, "Succeeded"] : [State.FAILURE, `Exit code ${exitCode}`];
}

/** The name of a gRPC code as it is written: DEADLINE_EXCEEDED. */
export function codeName(code: number): string {
  const name = Code[code];
  return name === undefined ? `code ${code}` : name === "Canceled" ? "CANCELLED" : name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

/** The action that it runs. */
export function actionOf(execution: Execution): BlobRef {
  const { actionHash: hash, actionSizeBytes: size } = execution;
  return { instance: execution.instance, fn: functionNamed(execution.digestFunction) ?? inferFunction(hash) ?? "sha256", hash, ...(size === 0n ? {} : { size }) };
}

/** "CppCompile //src:wheel", or the command's beginning. */
export function executionTitle(execution: Execution): string {
  const named = [execution.mnemonic, execution.target].filter((part) => part !== "").join(" ");
  return named !== "" ? named : execution.command !== "" ? execution.command : `Action ${execution.actionHash.slice(0, 10)}`;
}

/** Where the time went so far, as the queue knows it; the result says it better once it is there. */
export function livePhases(execution: Execution, now: number): Phase[] {
  const { queuedAt, claimedAt, startedAt, finishedAt } = execution;
  return laid(
    [
      ["Queued", queuedAt, claimedAt ?? finishedAt],
      ["Fetching inputs", claimedAt, startedAt ?? finishedAt],
      ["Executing", startedAt, finishedAt],
    ],
    timestampFromMs(now),
  );
}
