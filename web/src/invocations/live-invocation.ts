// One build as it is now: read once, then watched until it has ended.
import { createClient } from "@connectrpc/connect";
import { createConnectQueryKey, useQuery, useTransport } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useStream } from "@/api/stream";
import { InvocationService, type GetInvocationResponse, type Invocation } from "@/gen/millrace/v1/invocation_pb";
import { isLive } from "./standing";

export function useLiveInvocation(id: string) {
  const transport = useTransport();
  const client = useQueryClient();
  const query = useQuery(InvocationService.method.getInvocation, { id }, { staleTime: Infinity });
  const invocation = query.data?.invocation;
  const put = (next: Invocation | undefined) => {
    if (next === undefined) return;
    const key = createConnectQueryKey({ schema: InvocationService.method.getInvocation, input: { id }, transport, cardinality: "finite" });
    client.setQueryData<GetInvocationResponse>(key, (before) => (before === undefined ? before : { ...before, invocation: next }));
  };
  const stream = useStream(
    invocation === undefined || !isLive(invocation) ? undefined : id,
    (options) => createClient(InvocationService, transport).watchInvocation({ id }, options),
    (message) => put(message.invocation),
  );
  return { invocation, error: query.error, isPending: query.isPending, stream };
}
