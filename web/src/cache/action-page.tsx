// An action, by its digest: its result, what it made, and, where the client uploaded it, what it was. Each piece may be
// missing without the others.
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import { actionRoute } from "@/app/router";
import { ActionCache, ActionSchema } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { Alert, Loading } from "@/ui/message";
import { ActionCommand } from "./action-command";
import { ActionOutputs } from "./action-outputs";
import { ActionOutcome, ActionStreams } from "./action-outcome";
import { linkedBlob, type BlobRef } from "./digest";
import { DetailHead, Section } from "./parts";
import { actionRequest, useActionResult, useMessage } from "./read";

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
  return (
    <>
      <DetailHead title="Action" blob={action} curl={() => curlCall(ActionCache.method.getActionResult, actionRequest(action), mode === "serve")} />
      {result.error !== null ? (
        <div className="mt-3">
          <Alert>{errorText(result.error)}</Alert>
        </div>
      ) : result.data === undefined ? (
        <Loading what="the result" />
      ) : result.data === null ? (
        <NoResult action={action} />
      ) : (
        <>
          <ActionOutcome result={result.data} />
          <ActionOutputs action={action} result={result.data} />
          <ActionStreams action={action} result={result.data} />
        </>
      )}
      <ActionCommand action={action} found={message.data} error={message.error} />
    </>
  );
}

function NoResult({ action }: { action: BlobRef }) {
  return (
    <Section id="outcome" title="The cache has no result of this action">
      <p className="text-muted">
        In the instance {action.instance === "" ? "without a name" : <code className="text-ink">{action.instance}</code>} nothing is stored under this digest, or something that the result names is gone. It may be that
      </p>
      <ul className="mt-1 list-disc pl-5 text-muted">
        <li>the build that makes it has not run yet, or may not write to the cache: run it, with a token that has the role cache-write;</li>
        <li>it was evicted to make room: build again, or raise the limit of the cache;</li>
        <li>it belongs to another instance, or to another digest function: choose it on the cache page, and open the digest there;</li>
        <li>the digest is of another kind of blob: open it as a blob.</li>
      </ul>
    </Section>
  );
}
