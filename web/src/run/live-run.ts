// One run as it is now: read once, then watched until it is final.
import { createClient } from "@connectrpc/connect";
import { createConnectQueryKey, useQuery, useTransport } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { isFinal } from "@/api/state";
import { useStream } from "@/api/stream";
import { PipelineService, type GetRunResponse, type Run } from "@/gen/millrace/v1/pipeline_pb";

export function useLiveRun(runId: string) {
  const transport = useTransport();
  const client = useQueryClient();
  const query = useQuery(PipelineService.method.getRun, { runId }, { staleTime: Infinity });
  const run = query.data?.run;
  const put = (next: Run | undefined) => {
    if (next === undefined || next.jobs.length === 0) return;
    const key = createConnectQueryKey({ schema: PipelineService.method.getRun, input: { runId }, transport, cardinality: "finite" });
    client.setQueryData<GetRunResponse>(key, (before) => (before?.run === undefined || next.revision < before.run.revision ? before : { ...before, run: next }));
  };
  const stream = useStream(
    run === undefined || isFinal(run.state) ? undefined : runId,
    (options) => createClient(PipelineService, transport).watchRun({ runId }, options),
    (message) => put(message.run),
  );
  return { run, error: query.error, isPending: query.isPending, stream, put };
}
