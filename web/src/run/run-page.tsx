// One run: what it is and how it stands, the graph, the jobs and their steps, the log of one step.
import { useNavigate } from "@tanstack/react-router";
import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { signedOut } from "@/api/session";
import { State } from "@/api/state";
import { errorText, isNotFound } from "@/api/transport";
import { runRoute, type RunSearch } from "@/app/router";
import { findSearch } from "@/log/query";
import { Alert, Loading } from "@/ui/message";
import { useShortcut } from "@/ui/shortcuts";
import type { Job } from "@/gen/millrace/v1/pipeline_pb";
import { JobTree } from "./job-tree";
import { useLiveRun } from "./live-run";
import { RunHeader } from "./run-header";
import { NoSuchRun } from "./no-such-run";
import { chooseJob, chooseStep } from "./selection";
import { StepPane } from "./step-pane";
import { hasSummary, SummaryPane } from "./summary-pane";

// Asked for with the page, not after it: the graph must not push the log down when it comes.
const graphModule = import("./job-graph");
const JobGraph = lazy(() => graphModule);

/** Below this the graph would push the log off the screen: it begins folded. */
const NARROW_PX = 640;

export function RunPage() {
  const { runId } = runRoute.useParams();
  const search = runRoute.useSearch();
  const navigate = useNavigate();
  const client = useQueryClient();
  const { run, error, isPending, stream, put } = useLiveRun(runId);
  const [problem, setProblem] = useState("");
  const [graph, setGraph] = useState(() => innerWidth >= NARROW_PX);
  const go = (next: RunSearch, replace = false) => void navigate({ to: "/runs/$runId", params: { runId }, search: next, replace });
  const find = findSearch({ ...search });
  const job = run === undefined ? undefined : chooseJob(run, search.job);
  const step = chooseStep(job, search.job === undefined ? undefined : search.step);

  const moveStep = (by: 1 | -1) => {
    const next = job?.steps[(job.steps.findIndex((each) => each.index === step?.index) ?? 0) + by];
    if (job !== undefined && next !== undefined) go({ job: job.key, step: next.index });
  };
  const moveJob = (by: 1 | -1) => {
    const next = run?.jobs[run.jobs.findIndex((each) => each.key === job?.key) + by];
    if (next !== undefined) go({ job: next.key });
  };
  useShortcut("j", "Run: next step", () => moveStep(1));
  useShortcut("k", "Run: former step", () => moveStep(-1));
  useShortcut("J", "Run: next job", () => moveJob(1));
  useShortcut("K", "Run: former job", () => moveJob(-1));

  if (run === undefined) {
    if (isNotFound(error)) return <NoSuchRun runId={runId} />;
    if (isPending) return <Loading what="the run" />;
    return (
      <div className="p-4">
        <Alert>{error === null ? "The server sent no run." : errorText(error)}</Alert>
      </div>
    );
  }
  const here = { ...(job === undefined ? {} : { job: job.key }), ...(step === undefined ? {} : { step: step.index }) };
  const selectJob = (next: Job) => go({ job: next.key });
  const summary = hasSummary(run);
  const showSummary = search.view === "summary" && summary;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <RunHeader run={run} onRun={put} onProblem={setProblem} />
      {problem !== "" && (
        <div className="px-3 pb-2 sm:px-4">
          <Alert>{problem}</Alert>
        </div>
      )}
      {stream === "waiting" && (
        <p role="status" className="px-3 pb-2 text-warn sm:px-4">
          ↻ Connection lost, trying again. The run goes on meanwhile.
        </p>
      )}
      {run.message !== "" && (
        <div className="px-3 pb-2 sm:px-4">
          <Alert tone={run.state === State.FAILURE ? "bad" : "warn"}>{run.message}</Alert>
        </div>
      )}
      {new Set(run.jobs.map((each) => each.jobId)).size > 1 && (
        <details open={graph} onToggle={(event) => setGraph(event.currentTarget.open)} className="shrink-0 border-t bg-panel">
          <summary className="cursor-pointer px-3 py-1 text-muted select-none hover:text-ink sm:px-4">Job graph</summary>
          <div className="max-h-64 overflow-auto pb-1">
            <Suspense fallback={<div className="h-16" />}>
              <JobGraph jobs={run.jobs} selected={job?.jobId} onSelect={selectJob} />
            </Suspense>
          </div>
        </details>
      )}
      <div className="flex min-h-0 flex-1 flex-col border-t lg:flex-row">
        <aside className="shrink-0 border-b bg-panel max-h-[45vh] overflow-y-auto lg:max-h-none lg:w-80 lg:border-r lg:border-b-0" aria-label="Jobs and steps">
          <JobTree
            run={run}
            job={showSummary ? undefined : job}
            step={showSummary ? undefined : step}
            summary={summary}
            onSummary={() => go({ view: "summary" })}
            summaryOn={showSummary}
            onJob={selectJob}
            onStep={(next, index) => go({ job: next.key, step: index })}
            onRun={put}
            onProblem={setProblem}
          />
        </aside>
        {showSummary ? (
          <SummaryPane run={run} />
        ) : (
          job !== undefined && <StepPane job={job} step={step} lines={search.l} search={find} onLines={(l) => go({ ...here, ...find, ...(l === undefined ? {} : { l }) }, true)} onSearch={(next) => go({ ...here, ...next, ...(search.l === undefined ? {} : { l: search.l }) }, true)} onStay={() => step !== undefined && search.step === undefined && go({ ...here, ...find }, true)} onUnauthenticated={() => signedOut(client)} />
        )}
      </div>
    </div>
  );
}
