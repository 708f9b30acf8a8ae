// How full the cache is, in a meter with its words, and what was dropped.
import type { ReactNode } from "react";
import type { GetCacheResponse } from "@/gen/millrace/v1/cache_pb";
import { bytesText, countText } from "@/ui/bytes";

/** From here on the next writes push something out. */
const FULL_SHARE = 0.95;

export function UsagePane({ cache }: { cache: GetCacheResponse }) {
  const limited = cache.limitBytes > 0n;
  const share = limited ? Math.min(1, Number(cache.storedBytes) / Number(cache.limitBytes)) : 0;
  const words = limited ? `${bytesText(cache.storedBytes)} of ${bytesText(cache.limitBytes)}` : bytesText(cache.storedBytes);
  const full = share >= FULL_SHARE;
  return (
    <section aria-label="What is in the cache" className="mt-3 border-y py-3">
      <div className="flex flex-wrap items-baseline gap-x-2">
        <span id="size" className="text-[15px] font-semibold">
          {words}
        </span>
        <span className="text-muted">{limited ? `${percent(share)} full${full ? ": what was used least makes room for what is new" : ""}` : "without a limit"}</span>
      </div>
      {limited && (
        <div role="meter" aria-labelledby="size" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)} aria-valuetext={`${words}, ${percent(share)}`} className="mt-1.5 h-2 overflow-hidden rounded-full border border-line-strong bg-panel">
          <div className={`h-full ${full ? "bg-warn" : "bg-accent"}`} style={{ width: `${cache.storedBytes === 0n ? 0 : Math.max(0.4, share * 100)}%` }} />
        </div>
      )}
      <dl className="mt-2 flex flex-wrap gap-x-6 gap-y-1">
        <Count label="Blobs">{countText(cache.blobs)}</Count>
        <Count label="Action results and keys">{countText(cache.entries)}</Count>
        <Count label="Evicted since the start">
          {countText(cache.evicted)}
          {cache.evicted > 0n && ` (${bytesText(cache.evictedBytes)})`}
        </Count>
        <Count label="Corrupt, dropped">
          <span className={cache.corrupt > 0n ? "text-bad" : ""}>
            {countText(cache.corrupt)}
            {cache.corrupt > 0n && ": check the disk"}
          </span>
        </Count>
      </dl>
    </section>
  );
}

function Count({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="flex gap-1.5">
      <dt className="text-muted">{label}</dt>
      <dd className="font-medium">{children}</dd>
    </div>
  );
}

function percent(share: number): string {
  return share > 0 && share < 0.01 ? "under 1 %" : `${Math.floor(share * 100)} %`;
}
