// Jobs of pipelines that wait, by label set, and who could run them. They are handled on their runs' pages.
import { Link } from "@tanstack/react-router";
import { Section } from "@/cache/parts";
import type { JobGroup } from "@/gen/millrace/v1/queue_pb";
import { countText } from "@/ui/bytes";
import { jobWords } from "./words";

export function JobsPane({ jobs }: { jobs: readonly JobGroup[] }) {
  if (jobs.length === 0) return null;
  return (
    <Section
      id="jobs"
      title="Jobs of pipelines that wait"
      aside={
        <Link to="/runs" search={{ state: "queued" }} className="text-link">
          Queued runs
        </Link>
      }
    >
      <ul aria-labelledby="jobs" className="-mt-2">
        {jobs.map((group) => (
          <li key={group.labels.join()} className="grid grid-cols-[3rem_minmax(0,1fr)] items-baseline gap-x-3 border-b py-1.5 sm:grid-cols-[3rem_minmax(0,1fr)_minmax(0,1fr)]">
            <span className="text-right font-medium">{countText(group.queued)}</span>
            <span className="flex flex-wrap gap-1">
              {group.labels.length === 0 && <span className="text-muted">any runner</span>}
              {group.labels.map((label) => (
                <code key={label} className="rounded border bg-panel px-1.5">
                  {label}
                </code>
              ))}
            </span>
            <span className={`col-start-2 sm:col-start-auto ${group.runners.length === 0 ? "text-bad" : "text-muted"}`}>{jobWords(group)}</span>
          </li>
        ))}
      </ul>
    </Section>
  );
}
