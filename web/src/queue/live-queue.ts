// The queue as it is now: read once, then watched.
import { createClient } from "@connectrpc/connect";
import { createConnectQueryKey, useQuery, useTransport } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useEffectEvent, useRef } from "react";
import { useStream } from "@/api/stream";
import { QueueService, type GetQueueResponse, type Queue } from "@/gen/millrace/v1/queue_pb";

export function useLiveQueue() {
  const transport = useTransport();
  const client = useQueryClient();
  const query = useQuery(QueueService.method.getQueue, {}, { staleTime: Infinity });
  const put = (queue: Queue | undefined) => {
    if (queue === undefined) return;
    const key = createConnectQueryKey({ schema: QueueService.method.getQueue, input: {}, transport, cardinality: "finite" });
    client.setQueryData<GetQueueResponse>(key, (before) => (before === undefined ? before : { ...before, queue }));
  };
  const stream = useStream(
    query.data === undefined ? undefined : "queue",
    (options) => createClient(QueueService, transport).watchQueue({}, options),
    (message) => put(message.queue),
  );
  return { queue: query.data?.queue, error: query.error, isPending: query.isPending, stream };
}

/** Calls back after a change, at most once in so long, and always after the last one. */
export function useAfterChange(change: unknown, ms: number, then: () => void): void {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const onThen = useEffectEvent(then);
  useEffect(() => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      onThen();
    }, ms);
  }, [change, ms]);
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    },
    [],
  );
}
