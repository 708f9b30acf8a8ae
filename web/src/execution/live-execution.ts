// One execution as it is now, watched until it is done; and then what came of it.
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectQueryKey, useQuery as useCall, useTransport } from "@connectrpc/connect-query";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useStream } from "@/api/stream";
import { actionRequest } from "@/cache/read";
import { ActionCache, ExecuteResponseSchema, type ActionResult, type ExecuteResponse } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { Operations } from "@/gen/google/longrunning/operations_pb";
import { QueueService, type Execution, type GetExecutionResponse } from "@/gen/millrace/v1/queue_pb";
import { actionOf, isDone } from "./stage";

export function useLiveExecution(id: string) {
  const transport = useTransport();
  const client = useQueryClient();
  const query = useCall(QueueService.method.getExecution, { id }, { staleTime: Infinity });
  const execution = query.data?.execution;
  const put = (next: Execution | undefined) => {
    if (next === undefined) return;
    const key = createConnectQueryKey({ schema: QueueService.method.getExecution, input: { id }, transport, cardinality: "finite" });
    client.setQueryData<GetExecutionResponse>(key, (before) => (before?.execution === undefined || isDone(before.execution) ? before : { ...before, execution: next }));
  };
  const stream = useStream(
    execution === undefined || isDone(execution) ? undefined : id,
    (options) => createClient(QueueService, transport).watchExecution({ id }, options),
    (message) => put(message.execution),
  );
  return { execution, error: query.error, isPending: query.isPending, stream, put };
}

export interface Outcome {
  result: ActionResult | undefined;
  /** What the clients were told; undefined when only the cache remembers. */
  response: ExecuteResponse | undefined;
}

/**
 * What a finished execution came to: as its clients were told, for a failed action's result is in no cache; where that is
 * forgotten, as the cache has it.
 */
export function useOutcome(execution: Execution | undefined) {
  const transport = useTransport();
  return useQuery({
    queryKey: ["outcome", execution?.id],
    enabled: execution !== undefined && isDone(execution),
    staleTime: Infinity,
    queryFn: async ({ signal }): Promise<Outcome> => {
      if (execution === undefined) throw new Error("no execution");
      const response = await told(execution, createClient(Operations, transport), signal);
      if (response?.result !== undefined) return { result: response.result, response };
      if (execution.statusCode !== 0 || execution.exitCode !== 0) return { result: undefined, response };
      const result = await createClient(ActionCache, transport).getActionResult(actionRequest(actionOf(execution)), { signal }).catch(() => undefined);
      return { result, response };
    },
  });
}

async function told(execution: Execution, operations: ReturnType<typeof createClient<typeof Operations>>, signal: AbortSignal): Promise<ExecuteResponse | undefined> {
  const name = execution.operations[0];
  if (name === undefined) return undefined;
  try {
    const { result } = await operations.getOperation({ name }, { signal });
    return result.case === "response" ? anyUnpack(result.value, ExecuteResponseSchema) : undefined;
  } catch (error) {
    signal.throwIfAborted();
    // Deleted, pruned, or not for this reader: the cache may know it.
    void error;
    return undefined;
  }
}
