// Any log by its id, full page: what it is of, what it takes, and the log view.
import { useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { curlCall } from "@/api/curl";
import { signedOut, useRights } from "@/api/session";
import { logRoute } from "@/app/router";
import { LogService } from "@/gen/millrace/v1/log_pb";
import { LogPane } from "@/log/log-pane";
import { findSearch } from "@/log/query";
import { bytesText, countText } from "@/ui/bytes";
import { CopyButton, CopyCurl } from "@/ui/copy";
import { ratioText, recordsName, runOf } from "./words";

/** The view itself is live; what is beside the title need not be. */
const POLL_MS = 10_000;

export function LogPage() {
  const { logId } = logRoute.useParams();
  const search = logRoute.useSearch();
  const find = findSearch({ ...search });
  const navigate = useNavigate({ from: "/logs/$logId" });
  const client = useQueryClient();
  const { mode } = useRights();
  const { data } = useQuery(LogService.method.getLog, { logId }, { refetchInterval: ({ state }) => (state.data?.log?.complete === true || state.error !== null ? false : POLL_MS), retry: false });
  const log = data?.log;
  const name = recordsName(logId);
  const run = runOf(logId);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <header className="px-3 py-2 sm:px-4">
        <nav aria-label="Way back" className="text-muted">
          <Link to="/logs" className="text-link">
            Logs
          </Link>
          {run !== undefined && (
            <>
              {" · "}
              <Link to="/runs/$runId" params={{ runId: run }} search={{}} className="text-link">
                its run
              </Link>
            </>
          )}
        </nav>
        <div className="mt-0.5 flex flex-wrap items-center gap-x-3 gap-y-1">
          <h1 className="min-w-0 [overflow-wrap:anywhere]">{name ?? logId}</h1>
          <CopyButton text={logId} label="Copy the log's id" />
          <span className="text-muted">
            {log !== undefined &&
              [
                log.complete ? "complete" : "open",
                ...(log.storedBytes > 0n ? [`takes ${bytesText(log.storedBytes)} of the disk${log.compressed ? `, compressed ${ratioText(log.sizeBytes - log.firstOffset, log.storedBytes)}` : ""}`] : []),
                ...(log.firstLine > 0n ? [`lines before ${countText(log.firstLine + 1n)} were removed by retention`] : []),
              ].join(" · ")}
          </span>
          <span className="flex-1" />
          <CopyCurl line={() => curlCall(LogService.method.getLog, { logId }, mode === "serve")} />
        </div>
      </header>
      <div className="flex min-h-[75vh] flex-1 flex-col border-t lg:min-h-0">
        <LogPane
          key={logId}
          logId={logId}
          title={`Log ${name ?? logId}`}
          live={false}
          failed={false}
          origin={0}
          lines={search.l}
          search={find}
          onLines={(lines) => void navigate({ search: { ...find, ...(lines === undefined ? {} : { l: lines }) }, replace: true })}
          onSearch={(next) => void navigate({ search: { ...next, ...(search.l === undefined ? {} : { l: search.l }) }, replace: true })}
          onStay={() => {}}
          onUnauthenticated={() => signedOut(client)}
        />
      </div>
    </div>
  );
}
