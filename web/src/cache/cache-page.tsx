// The remote cache: how full it is, how well it does, what it saved, what went through it last, and how to use it.
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { useNavigate } from "@tanstack/react-router";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import { cacheRoute } from "@/app/router";
import { CacheService } from "@/gen/millrace/v1/cache_pb";
import { CopyCurl } from "@/ui/copy";
import { Alert, Empty, Loading } from "@/ui/message";
import { isUsed, WINDOW_DEFAULT, WINDOWS } from "./activity";
import { ActivityPane } from "./activity-pane";
import { LatestActions } from "./latest-actions";
import { OpenDigest } from "./open-digest";
import { UseCache } from "./setup";
import { UsagePane } from "./usage-pane";

const POLL_MS = 5_000;
/** The same question as the 1 h window's, so that it is asked once. */
const NOW = WINDOWS["1h"];

export function CachePage() {
  const search = cacheRoute.useSearch();
  const { mode } = useRights();
  const window = WINDOWS[search.window ?? WINDOW_DEFAULT];
  const place = search.instance === undefined ? { allInstances: true } : { instance: search.instance };
  const poll = { refetchInterval: POLL_MS, placeholderData: (before: unknown) => before as never };
  const request = { ...place, windowSeconds: BigInt(window.seconds), steps: window.steps };
  const cache = useQuery(CacheService.method.getCache, {}, { refetchInterval: POLL_MS });
  const activity = useQuery(CacheService.method.listCacheActivity, request, poll);
  const now = useQuery(CacheService.method.listCacheActivity, { ...place, windowSeconds: BigInt(NOW.seconds), steps: NOW.steps }, poll);
  const latest = useQuery(CacheService.method.listCacheActions, place, poll);
  // A token that is bound to a project may not know the size of the whole.
  const bound = cache.error !== null && [Code.PermissionDenied, Code.NotFound].includes(ConnectError.from(cache.error).code);
  const error = activity.error ?? latest.error ?? (bound ? null : cache.error);
  const unused = cache.data?.blobs === 0n && cache.data.entries === 0n && activity.data !== undefined && !isUsed(activity.data.total) && latest.data?.actions.length === 0;
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">
      <div className="flex flex-wrap items-center gap-2">
        <h1>Cache</h1>
        <span className="flex-1" />
        <InstancePicker instances={cache.data?.instances ?? []} chosen={search.instance} />
        <CopyCurl line={() => curlCall(CacheService.method.listCacheActivity, request, mode === "serve")} />
      </div>
      {error !== null && (
        <div className="mt-3">
          <Alert>{errorText(error)}</Alert>
        </div>
      )}
      {activity.data === undefined && latest.data === undefined ? (
        error === null && <Loading what="the cache" />
      ) : (
        <>
          {bound ? <p className="mt-3 text-muted">Your token is bound to one project: you see what that project does. The size of the whole is for tokens that are not.</p> : cache.data !== undefined && <UsagePane cache={cache.data} />}
          {unused ? <Unused instance={search.instance ?? ""} /> : <ActivityPane activity={activity.data} now={now.data} window={search.window ?? WINDOW_DEFAULT} />}
          <section className="mt-6">
            <OpenDigest instance={search.instance ?? ""} />
          </section>
          {!unused && (
            <>
              <LatestActions actions={latest.data?.actions ?? []} all={search.instance === undefined} />
              <details className="mt-8 border-t pt-3">
                <summary className="cursor-pointer font-semibold">Use this cache</summary>
                <div className="mt-2">
                  <UseCache instance={search.instance ?? ""} />
                </div>
              </details>
            </>
          )}
        </>
      )}
    </div>
  );
}

function InstancePicker({ instances, chosen }: { instances: readonly string[]; chosen: string | undefined }) {
  const navigate = useNavigate({ from: "/cache" });
  const names = chosen === undefined || instances.includes(chosen) ? instances : [chosen, ...instances];
  return (
    <label className="flex items-center gap-1.5 text-muted">
      Instance
      <select
        // A name never begins with a slash: so these two can't be names.
        value={chosen === undefined ? "/all" : chosen}
        onChange={({ target }) => void navigate({ search: (before) => ({ ...(before.window === undefined ? {} : { window: before.window }), ...(target.value === "/all" ? {} : { instance: target.value }) }) })}
        className="h-7 max-w-56 rounded-md border border-line-strong bg-raised px-1.5 text-ink"
      >
        <option value="/all">all</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name === "" ? "(without a name)" : name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Unused({ instance }: { instance: string }) {
  return (
    <section aria-labelledby="use" className="mt-6">
      <Empty title="Nothing is in the cache yet">Point a build at it; what it does appears here by itself.</Empty>
      <h2 id="use" className="mb-2">
        Use this cache
      </h2>
      <UseCache instance={instance} />
    </section>
  );
}
