// Executions of one action or of one build, newest first, as they stand now.
import { Code, ConnectError } from "@connectrpc/connect";
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { errorText } from "@/api/transport";
import { Section } from "@/cache/parts";
import { QueueService, type Execution } from "@/gen/millrace/v1/queue_pb";
import { Button } from "@/ui/button";
import { Alert } from "@/ui/message";
import { ExecutionRow } from "./execution-row";
import { isDone, type Stage } from "./stage";

const POLL_MS = 1_500;

export interface Wanted {
  instance?: string;
  actionHash?: string;
  invocationId?: string;
  stages?: Stage[];
}

/** Asked again while `watch`, or any of them, is under way. */
export function useExecutions(wanted: Wanted, pageSize: number, { watch = false, enabled = true } = {}) {
  const query = useInfiniteQuery(
    QueueService.method.listExecutions,
    { ...wanted, pageSize, pageToken: "" },
    {
      pageParamKey: "pageToken",
      getNextPageParam: (last) => (last.nextPageToken === "" ? undefined : last.nextPageToken),
      refetchInterval: ({ state }) => (watch || state.data?.pages.some((page) => page.executions.some((each) => !isDone(each))) === true ? POLL_MS : false),
      placeholderData: (before) => before,
      enabled,
    },
  );
  return { ...query, executions: unique(query.data?.pages.flatMap((page) => page.executions) ?? []) };
}

/** Nothing where the server runs no actions, or the reader may not see them. */
export function RecentExecutions({ id, title, none, list }: { id: string; title: string; none: string; list: ReturnType<typeof useExecutions> }) {
  const { executions, error, isPending, hasNextPage, isFetchingNextPage, fetchNextPage } = list;
  if (isOff(error)) return null;
  return (
    <Section id={id} title={title}>
      {error !== null ? (
        <Alert>{errorText(error)}</Alert>
      ) : isPending ? (
        <p className="text-muted">Looking …</p>
      ) : executions.length === 0 ? (
        <p className="text-muted">{none}</p>
      ) : (
        <ExecutionRows label={`${title}, newest first`} executions={executions} />
      )}
      {hasNextPage && (
        <Button look="quiet" className="mt-1" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          {isFetchingNextPage ? "Loading more …" : "Show more"}
        </Button>
      )}
    </Section>
  );
}

function ExecutionRows({ label, executions }: { label: string; executions: readonly Execution[] }) {
  return (
    <ul aria-label={label} className="-mt-2">
      {executions.map((each) => (
        <ExecutionRow key={each.id} execution={each} />
      ))}
    </ul>
  );
}

/** The server has no such service, or not for this reader. */
export function isOff(error: unknown): boolean {
  return error !== null && error !== undefined && [Code.Unimplemented, Code.PermissionDenied].includes(ConnectError.from(error).code);
}

/** Pages shift while they are read. */
function unique(executions: readonly Execution[]): Execution[] {
  return [...new Map(executions.map((each) => [each.id, each])).values()];
}
