// How well the cache does: the figures of a window of time, the plot, and the same as a table.
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useMemo, type ReactNode } from "react";
import { millis } from "@/api/state";
import type { CacheActivity, ListCacheActivityResponse } from "@/gen/millrace/v1/cache_pb";
import { bytesText, countText } from "@/ui/bytes";
import { durationText } from "@/ui/time";
import { columns, hitRate, hits, lookups, rateText, summary, WINDOW_DEFAULT, WINDOW_NAMES, WINDOWS, type WindowName } from "./activity";

const Plot = lazy(async () => ({ default: (await import("./plot")).Plot }));

export function ActivityPane({ activity, now, window }: { activity: ListCacheActivityResponse | undefined; now: ListCacheActivityResponse | undefined; window: WindowName }) {
  const total = activity?.total;
  const steps = useMemo(() => activity?.steps ?? [], [activity]);
  const words = WINDOWS[window].words;
  const said = summary(steps, total, words);
  const plotted = useMemo(() => columns(steps), [steps]);
  return (
    <section aria-labelledby="rate" className="mt-6">
      <div className="flex flex-wrap items-center gap-2">
        <h2 id="rate">Hit rate</h2>
        <span className="flex-1" />
        <WindowPicker chosen={window} />
      </div>
      <dl className="mt-2 grid grid-cols-2 gap-x-6 gap-y-3 sm:grid-cols-3 lg:grid-cols-6">
        <Figure label="Now (last hour)" value={rateText(hitRate(now?.total))} note={`${countText(hits(now?.total))} of ${countText(lookups(now?.total))} lookups`} />
        <Figure label={`In ${words}`} value={rateText(hitRate(total))} note={`${countText(hits(total))} of ${countText(lookups(total))} lookups`} />
        <Figure label="Execution time saved" value={durationText(Number(total?.savedMs ?? 0n))} note="as far as results say it" />
        <Figure label="Served" value={bytesText(total?.bytesRead ?? 0n)} note="sent to clients" />
        <Figure label="Received" value={bytesText(total?.bytesWritten ?? 0n)} note={`${countText(total?.actionUpdates ?? 0n)} results stored`} />
        <Figure label="Uploads spared" value={countText(total?.blobsPresent ?? 0n)} note={`of ${countText((total?.blobsPresent ?? 0n) + (total?.blobsMissing ?? 0n))} blobs asked about`} />
      </dl>
      <div className="mt-4">
        {lookups(total) === 0 ? (
          <p className="rounded-md border border-dashed border-line-strong px-4 py-10 text-center text-muted" data-testid="no-activity">
            {said} {window !== "30d" && "A longer window may show more."}
          </p>
        ) : (
          <>
            <p className="sr-only">{said}</p>
            <Suspense fallback={<p className="h-61 text-muted">Loading the plot …</p>}>
              <Plot columns={plotted} label={said} />
            </Suspense>
            <details className="mt-2">
              <summary className="cursor-pointer text-muted">The same as a table</summary>
              <ActivityTable steps={steps} />
            </details>
          </>
        )}
      </div>
    </section>
  );
}

function WindowPicker({ chosen }: { chosen: WindowName }) {
  return (
    <nav aria-label="How far back" className="flex gap-1.5">
      {WINDOW_NAMES.map((name) => (
        <Link
          key={name}
          from="/cache"
          to="/cache"
          search={({ instance }) => ({ ...(instance === undefined ? {} : { instance }), ...(name === WINDOW_DEFAULT ? {} : { window: name }) })}
          aria-current={name === chosen ? "true" : undefined}
          // The router would say which page this is, too.
          activeProps={{ "aria-current": name === chosen ? "true" : undefined }}
          className={`inline-flex h-7 items-center rounded-full border px-2.5 whitespace-nowrap ${name === chosen ? "border-accent bg-accent-soft font-medium" : "border-line-strong text-muted hover:bg-hover hover:text-ink"}`}
        >
          {WINDOWS[name].label}
        </Link>
      ))}
    </nav>
  );
}

function Figure({ label, value, note }: { label: string; value: string; note: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-[12px] leading-4 text-muted">{label}</dt>
      <dd>
        <span className="block text-[18px] leading-7 font-semibold">{value}</span>
        <span className="block text-[12px] leading-4 text-muted">{note}</span>
      </dd>
    </div>
  );
}

/** Steps in which something happened. */
function ActivityTable({ steps }: { steps: readonly CacheActivity[] }) {
  const busy = steps.filter((step) => lookups(step) > 0 || step.bytesRead + step.bytesWritten + step.actionUpdates > 0n).reverse();
  return (
    <div className="mt-2 max-h-80 overflow-auto" tabIndex={0} role="region" aria-label="Activity as a table">
      <table className="w-full text-right whitespace-nowrap">
        <thead className="sticky top-0 bg-bg text-muted">
          <tr>
            {["Begins", "Hit rate", "Hits", "Lookups", "Stored", "Saved", "Served", "Received"].map((head) => (
              <th key={head} scope="col" className="border-b py-1 pl-4 font-medium first:pl-0 first:text-left">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {busy.map((step) => (
            <tr key={millis(step.startTime)} className="[&>td]:border-b [&>td]:py-0.5 [&>td]:pl-4">
              <th scope="row" className="border-b text-left font-normal">
                {new Date(millis(step.startTime) ?? 0).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" })}
              </th>
              <td>{rateText(hitRate(step))}</td>
              <td>{countText(hits(step))}</td>
              <td>{countText(lookups(step))}</td>
              <td>{countText(step.actionUpdates)}</td>
              <td>{durationText(Number(step.savedMs))}</td>
              <td>{bytesText(step.bytesRead)}</td>
              <td>{bytesText(step.bytesWritten)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
