// The head of a run: its name, state, times, and what can be done with it.
import { useMutation } from "@connectrpc/connect-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { isFinal, millis, State } from "@/api/state";
import { errorText } from "@/api/transport";
import { PipelineService, type Run } from "@/gen/millrace/v1/pipeline_pb";
import { RunState, runTitle } from "@/runs/run-row";
import { Button } from "@/ui/button";
import { CopyCurl, Id } from "@/ui/copy";
import { MoreIcon } from "@/ui/icons";
import { Menu, type MenuItem } from "@/ui/menu";
import { Ago, Duration } from "@/ui/time";

export function RunHeader({ run, onRun, onProblem }: { run: Run; onRun: (run: Run | undefined) => void; onProblem: (text: string) => void }) {
  const rights = useRights();
  const { busy, cancel, terminate, rerun, approve } = useRunActions(run, onRun, onProblem);
  const final = isFinal(run.state);
  const held = run.jobs.some((job) => job.state === State.HELD);
  const failed = final && run.jobs.some((job) => job.state === State.FAILURE || job.state === State.CANCELLED);
  const more: MenuItem[] = [
    ...(final ? [] : [{ label: "Terminate now", hint: "Kills what runs, without a grace", danger: true, disabled: !rights.run, onSelect: terminate }]),
    ...(final && failed ? [{ label: "Run all jobs again", disabled: !rights.run, onSelect: () => rerun(false) }] : []),
  ];
  return (
    <div className="flex flex-wrap items-start gap-x-4 gap-y-2 px-3 py-3 sm:px-4">
      <div className="min-w-0 flex-1 basis-72">
        <h1 className="flex flex-wrap items-center gap-x-2">
          <span className="min-w-0 break-words">{runTitle(run)}</span>
          <span className="font-normal text-muted">#{String(run.number)}</span>
          {run.attempt > 1 && <span className="text-[13px] font-normal text-muted">attempt {run.attempt}</span>}
        </h1>
        <div className="mt-0.5 flex flex-wrap items-center gap-x-4 text-muted">
          <span data-testid="run-state">
            <RunState run={run} />
          </span>
          <span>
            <Ago at={millis(run.createdAt)} />
            {run.actor !== "" && ` by ${run.actor}`}
            {run.event !== "" && ` · ${run.event}`}
          </span>
          {run.startedAt !== undefined && (
            <span title="From the first job's beginning to the last one's end">
              <Duration from={millis(run.startedAt)} to={millis(run.finishedAt)} />
            </span>
          )}
          <span>
            {run.jobsDone} of {run.jobsTotal} jobs done
          </span>
          {run.fileName !== "" && <code>{run.fileName}</code>}
          <Id id={run.id} label="run id" />
          {run.rerunOf !== "" && (
            <Link to="/runs/$runId" params={{ runId: run.rerunOf }} search={{}} className="text-link">
              former attempt
            </Link>
          )}
        </div>
      </div>
      <div className="flex items-center gap-2">
        <CopyCurl line={() => curlCall(PipelineService.method.getRun, { runId: run.id }, rights.mode === "serve")} />
        {held && !final && (
          <Button look="primary" disabled={busy || !rights.run} onClick={() => approve("")}>
            Approve held jobs
          </Button>
        )}
        {!final && (
          <Button disabled={busy || run.cancelling || !rights.run} onClick={cancel} title="Asks running jobs to stop; what does not is killed after a grace">
            {run.cancelling ? "Cancelling …" : "Cancel"}
          </Button>
        )}
        {final && (
          <Button disabled={busy || !rights.run} onClick={() => rerun(failed)} title={failed ? "Only the jobs that did not succeed, and those that need them" : "All jobs, as a new attempt"}>
            {failed ? "Rerun failed jobs" : "Run again"}
          </Button>
        )}
        {more.length > 0 && (
          <Menu
            items={more}
            trigger={
              <Button square aria-label="More actions">
                <MoreIcon />
              </Button>
            }
          />
        )}
      </div>
    </div>
  );
}

/** What can be done with a run; each answers with the run after it. */
export function useRunActions(run: Run, onRun: (run: Run | undefined) => void, onProblem: (text: string) => void) {
  const navigate = useNavigate();
  const done = { onSuccess: (answer: { run?: Run | undefined }) => (onProblem(""), onRun(answer.run)), onError: (error: unknown) => onProblem(errorText(error)) };
  const cancelRun = useMutation(PipelineService.method.cancelRun, done);
  const terminateRun = useMutation(PipelineService.method.terminateRun, done);
  const skipJob = useMutation(PipelineService.method.skipJob, done);
  const runStage = useMutation(PipelineService.method.runStage, done);
  const rerunRun = useMutation(PipelineService.method.rerun, {
    onError: done.onError,
    onSuccess: (answer) => answer.run !== undefined && void navigate({ to: "/runs/$runId", params: { runId: answer.run.id }, search: {} }),
  });
  const runId = run.id;
  return {
    busy: [cancelRun, terminateRun, skipJob, runStage, rerunRun].some((call) => call.isPending),
    cancel: () => cancelRun.mutate({ runId }),
    terminate: () => terminateRun.mutate({ runId }),
    skip: (jobKey: string) => skipJob.mutate({ runId, jobKey }),
    approve: (jobKey: string) => runStage.mutate({ runId, jobKey }),
    rerun: (failedOnly: boolean) => rerunRun.mutate({ runId, failedOnly }),
  };
}
