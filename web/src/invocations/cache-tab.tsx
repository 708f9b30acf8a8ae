// How well caches did in one build, and how its processes were run.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { rateText } from "@/cache/activity";
import { Section } from "@/cache/parts";
import type { Invocation, MnemonicStatistics, RunnerStatistics } from "@/gen/millrace/v1/invocation_pb";
import { bytesText, countText } from "@/ui/bytes";
import { Empty } from "@/ui/message";
import { durationText } from "@/ui/time";
import { isLive } from "./standing";

export function CacheTab({ invocation }: { invocation: Invocation }) {
  const { cache } = invocation;
  if (cache === undefined)
    return <Empty title={isLive(invocation) ? "No figures yet" : "This build told no figures"}>{isLive(invocation) ? "Build tools tell them at the end." : "It ended before its build tool told them."}</Empty>;
  const executed = Number(cache.actionsExecuted);
  const remote = executed === 0 ? undefined : Number(cache.remoteCacheHits) / executed;
  const local = Number(cache.localCacheHits + cache.localCacheMisses);
  return (
    <>
      <dl className="grid grid-cols-2 gap-x-6 gap-y-3 sm:grid-cols-4">
        <Figure label="Remote cache hits" value={rateText(remote)} note={`${countText(cache.remoteCacheHits)} of ${countText(cache.actionsExecuted)} actions`} />
        <Figure label="Build tool's own cache" value={rateText(local === 0 ? undefined : Number(cache.localCacheHits) / local)} note={`${countText(cache.localCacheHits)} of ${countText(local)} lookups`} />
        <Figure label="Actions" value={countText(cache.actionsExecuted)} note={`run or found, of ${countText(cache.actionsCreated)} made`} />
        <Figure label="Outputs" value={countText(cache.outputs)} note={bytesText(cache.outputsBytes)} />
      </dl>
      <Runners runners={cache.runners} />
      <Mnemonics mnemonics={invocation.mnemonics} />
      <p className="mt-6 text-muted">
        <Link to="/cache" search={invocation.instance === "" ? {} : { instance: invocation.instance }} className="text-link">
          The cache as a whole
        </Link>
      </p>
    </>
  );
}

export function Figure({ label, value, note }: { label: string; value: string; note?: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-[12px] leading-4 text-muted">{label}</dt>
      <dd>
        <span className="block text-[18px] leading-7 font-semibold">{value}</span>
        {note !== undefined && <span className="block text-[12px] leading-4 text-muted">{note}</span>}
      </dd>
    </div>
  );
}

function Runners({ runners }: { runners: readonly RunnerStatistics[] }) {
  const shown = runners.filter((each) => each.name !== "total");
  const whole = shown.reduce((sum, each) => sum + Number(each.count), 0);
  if (shown.length === 0) return null;
  return (
    <Section id="ways" title="How processes were run">
      <ul aria-labelledby="ways" className="max-w-3xl">
        {shown.map((each) => (
          <li key={each.name} className="grid grid-cols-[10rem_minmax(0,1fr)_5rem] items-center gap-x-3">
            <span className="truncate" title={each.name}>
              {each.name}
            </span>
            <span className="relative h-2.5 overflow-hidden rounded-sm bg-panel" aria-hidden="true">
              <span className="absolute inset-y-0 left-0 min-w-0.5 rounded-sm bg-accent" style={{ width: `${whole === 0 ? 0 : (Number(each.count) / whole) * 100}%` }} />
            </span>
            <span className="text-right">{countText(each.count)}</span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Mnemonics({ mnemonics }: { mnemonics: readonly MnemonicStatistics[] }) {
  if (mnemonics.length === 0) return null;
  return (
    <Section id="mnemonics" title="Actions by kind">
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Actions by kind, a table">
        <table className="w-full max-w-3xl text-right whitespace-nowrap">
          <thead className="text-muted">
            <tr>
              {["Kind", "Run or found", "Made", "Processor time", "First to last"].map((head) => (
                <th key={head} scope="col" className="border-b py-1 pl-4 font-medium first:pl-0 first:text-left">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {mnemonics.map((each) => (
              <tr key={each.mnemonic} className="[&>td]:border-b [&>td]:py-0.5 [&>td]:pl-4">
                <th scope="row" className="border-b text-left font-normal">
                  {each.mnemonic}
                </th>
                <td>{countText(each.executed)}</td>
                <td>{countText(each.created)}</td>
                <td>{each.userMs + each.systemMs > 0n ? durationText(Number(each.userMs + each.systemMs)) : "–"}</td>
                <td>{each.spanMs > 0n ? durationText(Number(each.spanMs)) : "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}
