// Where the time of a build went: its phases on one scale, and the chain of actions that decided how long it took.
import { Section } from "@/cache/parts";
import { Waterfall } from "@/cache/waterfall";
import type { CriticalPathStep, Invocation } from "@/gen/millrace/v1/invocation_pb";
import { Empty } from "@/ui/message";
import { durationText } from "@/ui/time";
import { FileLine } from "./build-file";
import { Figure } from "./cache-tab";
import { isLive, stretches } from "./standing";

export function TimingTab({ invocation }: { invocation: Invocation }) {
  const { timing } = invocation;
  if (timing === undefined || timing.wallMs + timing.analysisMs + timing.executionMs + timing.criticalPathMs === 0n)
    return <Empty title={isLive(invocation) ? "No times yet" : "This build told no times"}>{isLive(invocation) ? "Build tools tell them at the end." : "It ended before its build tool told them."}</Empty>;
  const ms = (value: bigint) => (value === 0n ? "–" : durationText(Number(value)));
  const parts = stretches(timing);
  return (
    <>
      <dl className="grid grid-cols-2 gap-x-6 gap-y-3 sm:grid-cols-5">
        <Figure label="From begin to end" value={ms(timing.wallMs)} />
        <Figure label="Loading and analysis" value={ms(timing.analysisMs)} />
        <Figure label="First to last action" value={ms(timing.executionMs)} />
        <Figure label="Critical path" value={ms(timing.criticalPathMs)} />
        <Figure label="Processor" value={ms(timing.cpuMs)} note="the build tool's own" />
      </dl>
      {parts.length > 0 && (
        <Section id="phases" title="Phases">
          <Waterfall parts={parts} least={Number(timing.wallMs)} />
        </Section>
      )}
      <CriticalPath steps={timing.criticalPath} />
      {invocation.toolLogs.length > 0 && (
        <Section id="toollogs" title="Logs of the build tool">
          <ul aria-labelledby="toollogs">
            {invocation.toolLogs.map((file, index) => (
              <FileLine key={index} file={file} unfolds={file.text !== ""} />
            ))}
          </ul>
        </Section>
      )}
    </>
  );
}

function CriticalPath({ steps }: { steps: readonly CriticalPathStep[] }) {
  const longest = Math.max(1, ...steps.map((step) => Number(step.durationMs)));
  if (steps.length === 0) return null;
  return (
    <Section id="critical" title="Critical path" aside={<span className="text-muted">the last action first; only making these faster makes the build faster</span>}>
      <ol aria-labelledby="critical">
        {steps.map((step, index) => (
          <li key={index} className="grid grid-cols-[4.5rem_minmax(0,1fr)] items-baseline gap-x-3 border-b py-1 sm:grid-cols-[4.5rem_8rem_minmax(0,1fr)]">
            <span className="text-right">{durationText(Number(step.durationMs))}</span>
            <span className="relative hidden h-2.5 self-center overflow-hidden rounded-sm bg-panel sm:block" aria-hidden="true">
              <span className="absolute inset-y-0 left-0 min-w-0.5 rounded-sm bg-accent" style={{ width: `${(Number(step.durationMs) / longest) * 100}%` }} />
            </span>
            <span className="[overflow-wrap:anywhere]">{step.description}</span>
          </li>
        ))}
      </ol>
    </Section>
  );
}
