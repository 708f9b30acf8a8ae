// An action, by its digest: its result, what it made, and, where the client uploaded it, what it was. Each piece may be
// missing without the others.
import { Link } from "@tanstack/react-router";
import { useEffect, useEffectEvent, useRef } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import { actionRoute } from "@/app/router";
import { useLiveExecution, useOutcome } from "@/execution/live-execution";
import { Output } from "@/execution/output";
import { RecentExecutions, useExecutions } from "@/execution/recent-executions";
import { isDone, livePhases, StageLabel } from "@/execution/stage";
import { ActionCache, ActionSchema } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import type { Execution } from "@/gen/millrace/v1/queue_pb";
import { Alert, Loading } from "@/ui/message";
import { useNow } from "@/ui/time";
import { ActionCommand } from "./action-command";
import { ActionOutputs } from "./action-outputs";
import { ActionOutcome, ActionStreams } from "./action-outcome";
import { linkedBlob, type BlobRef } from "./digest";
import { DetailHead, Section } from "./parts";
import { actionRequest, useActionResult, useMessage } from "./read";
import { Waterfall } from "./waterfall";

const RECENT_EXECUTIONS = 10;

export function ActionPage() {
  const { hash } = actionRoute.useParams();
  const search = actionRoute.useSearch();
  const parsed = linkedBlob(hash, search);
  return <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">{parsed.ok ? <ActionDetails key={hash} action={parsed.blob} /> : <Alert>{parsed.problem}</Alert>}</div>;
}

function ActionDetails({ action }: { action: BlobRef }) {
  const { mode } = useRights();
  const result = useActionResult(action);
  const message = useMessage(ActionSchema, action);
  const executions = useExecutions({ instance: action.instance, actionHash: action.hash }, RECENT_EXECUTIONS);
  const live = executions.executions.find((each) => !isDone(each));
  useAfterLast(live?.id, () => void result.refetch());
  const ran = executions.executions.length > 0;
  const recent = <RecentExecutions id="executions" title="Recent executions" none="No runner of this server has run it lately: its result, if there is one, was uploaded by a client." list={executions} />;
  return (
    <>
      <DetailHead title="Action" blob={action} curl={() => curlCall(ActionCache.method.getActionResult, actionRequest(action), mode === "serve")} />
      {live !== undefined && <LiveNow key={live.id} execution={live} />}
      {result.error !== null ? (
        <div className="mt-3">
          <Alert>{errorText(result.error)}</Alert>
        </div>
      ) : result.data === undefined ? (
        <Loading what="the result" />
      ) : result.data === null ? (
        live === undefined && <NoResult action={action} />
      ) : (
        <>
          <ActionOutcome result={result.data} />
          <ActionOutputs action={action} result={result.data} />
          <ActionStreams action={action} result={result.data} />
        </>
      )}
      {ran && recent}
      <ActionCommand action={action} found={message.data} error={message.error} />
      {!ran && recent}
    </>
  );
}

/** An execution of this action that is under way: where it stands, and what it prints. */
function LiveNow({ execution }: { execution: Execution }) {
  const watched = useLiveExecution(execution.id).execution ?? execution;
  const outcome = useOutcome(watched);
  const now = useNow(!isDone(watched));
  return (
    <>
      <Section
        id="live"
        title="Now"
        aside={
          <>
            <StageLabel execution={watched} />
            <Link to="/executions/$executionId" params={{ executionId: execution.id }} preload={false} className="text-link">
              Open the execution
            </Link>
          </>
        }
      >
        <div className="min-h-26">
          <Waterfall parts={livePhases(watched, now)} />
        </div>
      </Section>
      <Output execution={watched} result={outcome.data?.result} pending={outcome.isPending} />
    </>
  );
}

/** Calls back when there was one and is none any more. */
function useAfterLast(id: string | undefined, then: () => void): void {
  const before = useRef(id);
  const onThen = useEffectEvent(then);
  useEffect(() => {
    if (before.current !== undefined && id !== before.current) onThen();
    before.current = id;
  }, [id]);
}

function NoResult({ action }: { action: BlobRef }) {
  return (
    <Section id="outcome" title="The cache has no result of this action">
      <p className="text-muted">
        In the instance {action.instance === "" ? "without a name" : <code className="text-ink">{action.instance}</code>} nothing is stored under this digest, or something that the result names is gone. It may be that
      </p>
      <ul className="mt-1 list-disc pl-5 text-muted">
        <li>the build that makes it has not run yet, or may not write to the cache: run it, with a token that has the role cache-write;</li>
        <li>it failed, or its client asked not to cache it: such a result is kept with its execution alone;</li>
        <li>it was evicted to make room: build again, or raise the limit of the cache;</li>
        <li>it belongs to another instance, or to another digest function: choose it on the cache page, and open the digest there;</li>
        <li>the digest is of another kind of blob: open it as a blob.</li>
      </ul>
    </Section>
  );
}
