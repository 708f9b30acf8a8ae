// One execution: where it stands, what it prints, where its time goes, for whom it runs and where.
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { millis } from "@/api/state";
import { errorText, isNotFound } from "@/api/transport";
import { executionRoute } from "@/app/router";
import { ActionOutputs } from "@/cache/action-outputs";
import { linkSearch } from "@/cache/digest";
import { DigestId } from "@/cache/digest-id";
import { Fact, Facts, Section } from "@/cache/parts";
import { phases } from "@/cache/timings";
import { Waterfall } from "@/cache/waterfall";
import { QueueService, type Execution } from "@/gen/millrace/v1/queue_pb";
import { PropertyList } from "@/queue/property-list";
import { bytesText } from "@/ui/bytes";
import { buttonClass } from "@/ui/button";
import { Command, CopyButton, CopyCurl, Id } from "@/ui/copy";
import { Alert, Loading } from "@/ui/message";
import { Ago, useNow } from "@/ui/time";
import { CancelButton, ExecutionMenu } from "./execution-menu";
import { useLiveExecution, useOutcome, type Outcome } from "./live-execution";
import { Output } from "./output";
import { actionOf, codeName, executionTitle, isDone, livePhases, Stage, StageLabel } from "./stage";

export function ExecutionPage() {
  const { executionId } = executionRoute.useParams();
  const { execution, error, isPending, stream, put } = useLiveExecution(executionId);
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">
      {execution !== undefined ? (
        <Details key={execution.id} execution={execution} lost={stream === "waiting"} put={put} />
      ) : isNotFound(error) ? (
        <NoSuchExecution />
      ) : isPending ? (
        <Loading what="the execution" />
      ) : (
        <Alert>{error === null ? "The server sent no execution." : errorText(error)}</Alert>
      )}
    </div>
  );
}

function Details({ execution, lost, put }: { execution: Execution; lost: boolean; put: (next: Execution | undefined) => void }) {
  const [problem, setProblem] = useState("");
  const outcome = useOutcome(execution);
  const done = isDone(execution);
  const result = outcome.data?.result;
  return (
    <>
      <Head execution={execution} put={put} onProblem={setProblem} />
      <div className="mt-2 grid gap-2 empty:hidden">
        {problem !== "" && <Alert>{problem}</Alert>}
        {lost && (
          <p role="status" className="text-warn">
            ↻ Connection lost, trying again. The execution goes on meanwhile.
          </p>
        )}
        {execution.message !== "" && <Alert tone={done ? "bad" : "warn"}>{execution.message}</Alert>}
      </div>
      <Timing execution={execution} outcome={outcome.data} />
      <Output execution={execution} result={result} pending={outcome.isPending} />
      {result !== undefined && <ActionOutputs action={actionOf(execution)} result={result} />}
      <About execution={execution} outcome={outcome.data} />
    </>
  );
}

function Head({ execution, put, onProblem }: { execution: Execution; put: (next: Execution | undefined) => void; onProblem: (text: string) => void }) {
  const { mode } = useRights();
  const action = actionOf(execution);
  return (
    <header>
      <nav aria-label="Way back" className="text-muted">
        <Link to="/queue" search={{}} className="text-link">
          Queue
        </Link>
        {execution.instance !== "" && ` / ${execution.instance}`}
      </nav>
      <div className="mt-0.5 flex flex-wrap items-center gap-x-3 gap-y-1">
        <h1 className="min-w-0 [overflow-wrap:anywhere]">{executionTitle(execution)}</h1>
        <span data-testid="stage">
          <StageLabel execution={execution} />
        </span>
        <Id id={execution.id} label="the id of the execution" />
        <span className="flex-1" />
        <CopyCurl line={() => curlCall(QueueService.method.getExecution, { id: execution.id }, mode === "serve")} />
        <Link to="/actions/$hash" params={{ hash: action.hash }} search={linkSearch(action)} preload={false} className={buttonClass()}>
          Open the action
        </Link>
        <CancelButton execution={execution} onChanged={put} onProblem={onProblem} />
        {execution.stage === Stage.QUEUED && <ExecutionMenu execution={execution} onChanged={put} onProblem={onProblem} />}
      </div>
    </header>
  );
}

function Timing({ execution, outcome }: { execution: Execution; outcome: Outcome | undefined }) {
  const done = isDone(execution);
  const now = useNow(!done);
  const told = phases(outcome?.result?.executionMetadata);
  const parts = told.length > 0 ? told : livePhases(execution, now);
  return (
    <Section id="timing" title="Timing" aside={outcome?.response?.cachedResult === true ? <span className="text-muted">answered from the cache: this is how long it took then</span> : undefined}>
      <div className="min-h-26">{parts.length === 0 ? <p className="text-muted">Nothing is known of its times.</p> : <Waterfall parts={parts} />}</div>
    </Section>
  );
}

function About({ execution, outcome }: { execution: Execution; outcome: Outcome | undefined }) {
  const action = actionOf(execution);
  const inputs = execution.inputFetchedBytes + execution.inputCachedBytes;
  return (
    <Section id="about" title="About">
      {execution.command !== "" && (
        <div className="mb-3">
          <Command line={execution.command} label="The beginning of the command" />
        </div>
      )}
      <Facts>
        <Fact label="Action">
          <Link to="/actions/$hash" params={{ hash: action.hash }} search={linkSearch(action)} preload={false} className="text-link">
            Command, environment, inputs, result
          </Link>{" "}
          <DigestId blob={action} of="the action" />
        </Fact>
        <Fact label="Runner">
          {execution.runnerName === "" ? (
            <span className="text-muted">none yet</span>
          ) : (
            <Link to="/runners" className="text-link">
              {execution.runnerName}
            </Link>
          )}
          {execution.lost > 0 && <span className="text-warn"> · {execution.lost === 1 ? "one runner" : `${execution.lost} runners`} lost it before</span>}
        </Fact>
        {!isDone(execution) && <Fact label="Platform queue">{execution.platform === "" ? <span className="text-warn">none satisfies what it asks for</span> : execution.platform}</Fact>}
        <Fact label="Asks for">
          <PropertyList properties={execution.properties} none="any platform" />
        </Fact>
        <Fact label="Priority">
          {execution.priority} <span className="text-muted">(lower is more important)</span>
        </Fact>
        <Fact label="Queued">
          <Ago at={millis(execution.queuedAt)} />
        </Fact>
        {execution.finishedAt !== undefined && (
          <Fact label="Finished">
            <Ago at={millis(execution.finishedAt)} />
          </Fact>
        )}
        {execution.exitCode !== undefined && <Fact label="Exit code">{execution.exitCode}</Fact>}
        {execution.statusCode !== 0 && (
          <Fact label="Status">
            <code>{codeName(execution.statusCode)}</code>
          </Fact>
        )}
        {outcome?.response !== undefined && outcome.response.message !== "" && <Fact label="Message">{outcome.response.message}</Fact>}
        {inputs > 0n && (
          <Fact label="Inputs">
            {bytesText(inputs)}
            <span className="text-muted">
              : {bytesText(execution.inputFetchedBytes)} fetched, {bytesText(execution.inputCachedBytes)} the runner had
            </span>
          </Fact>
        )}
        <Fact label="Caching">{execution.doNotCache ? "the client asked neither to cache nor to merge it" : "its result is kept when it succeeds"}</Fact>
        {execution.invocationId !== "" && (
          <Fact label="Invocation">
            <Link to="/invocations/$invocationId" params={{ invocationId: execution.invocationId }} search={{}} preload={false} className="text-link">
              {execution.invocationId}
            </Link>
          </Fact>
        )}
        <Fact label={execution.operations.length > 1 ? `Operations (${execution.operations.length})` : "Operation"}>
          {execution.operations.length === 0 ? (
            <span className="text-muted">none: nobody waits for it</span>
          ) : (
            <ul>
              {execution.operations.map((name) => (
                <li key={name} className="flex items-center gap-0.5">
                  <code className="min-w-0 [overflow-wrap:anywhere]">{name}</code>
                  <CopyButton text={name} label={`Copy the name ${name}`} />
                </li>
              ))}
            </ul>
          )}
        </Fact>
      </Facts>
    </Section>
  );
}

function NoSuchExecution() {
  return (
    <div className="mx-auto max-w-lg px-4 py-16">
      <h1>There is no such execution</h1>
      <p className="mt-1 text-muted">It was never here, or it is forgotten: finished ones are kept for a while only. What its action made may still be in the cache.</p>
      <p className="mt-4">
        <Link to="/queue" search={{}} className={buttonClass("primary")}>
          The queue
        </Link>
      </p>
    </div>
  );
}
