// How an action ended: exit code, worker, where the time went, what it printed.
import { millis } from "@/api/state";
import type { ActionResult, Digest } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { StateLabel } from "@/ui/status";
import { State } from "@/api/state";
import { Ago, durationText } from "@/ui/time";
import { sibling, type BlobRef } from "./digest";
import { Fact, Facts, Section } from "./parts";
import { Preview, Shown } from "./preview";
import { PREVIEW_MAX_BYTES } from "./read";
import { phases, type Phase } from "./timings";

const COLOURS: Record<Phase["name"], string> = { Queued: "bg-line-strong", "Fetching inputs": "bg-held", Executing: "bg-accent", "Uploading outputs": "bg-warn" };

export function ActionOutcome({ result }: { result: ActionResult }) {
  const metadata = result.executionMetadata;
  const done = millis(metadata?.workerCompletedTimestamp ?? metadata?.executionCompletedTimestamp);
  return (
    <Section id="outcome" title="Result" aside={<StateLabel state={result.exitCode === 0 ? State.SUCCESS : State.FAILURE} word={`exit code ${result.exitCode}`} />}>
      <Facts>
        <Fact label="Worker">{metadata === undefined || metadata.worker === "" ? <span className="text-muted">not said</span> : metadata.worker}</Fact>
        <Fact label="Executed">{done === undefined ? <span className="text-muted">not said when</span> : <Ago at={done} />}</Fact>
        <Fact label="Time">
          <Timings parts={phases(metadata)} />
        </Fact>
      </Facts>
    </Section>
  );
}

function Timings({ parts }: { parts: Phase[] }) {
  const total = parts.reduce((sum, part) => sum + part.ms, 0);
  if (parts.length === 0) return <span className="text-muted">the result does not say where it went</span>;
  return (
    <>
      <div className="mt-1.5 flex h-2 max-w-xl gap-px overflow-hidden rounded-full bg-panel" aria-hidden="true">
        {parts.map((part) => (
          <span key={part.name} className={`min-w-0.5 ${COLOURS[part.name]}`} style={{ flexGrow: total === 0 ? 1 : part.ms / total, flexBasis: 0 }} />
        ))}
      </div>
      <ul className="mt-1 flex flex-wrap gap-x-4">
        {parts.map((part) => (
          <li key={part.name} className="inline-flex items-center gap-1.5">
            <span className={`size-2 rounded-full ${COLOURS[part.name]}`} aria-hidden="true" />
            <span className="text-muted">{part.name}</span> {durationText(part.ms)}
          </li>
        ))}
      </ul>
    </>
  );
}

export function ActionStreams({ action, result }: { action: BlobRef; result: ActionResult }) {
  return (
    <>
      <Stream id="stdout" title="Standard output" action={action} raw={result.stdoutRaw} digest={result.stdoutDigest} />
      <Stream id="stderr" title="Standard error" action={action} raw={result.stderrRaw} digest={result.stderrDigest} />
    </>
  );
}

function Stream({ id, title, action, raw, digest }: { id: string; title: string; action: BlobRef; raw: Uint8Array; digest: Digest | undefined }) {
  const whole = BigInt(raw.length);
  return (
    <Section id={id} title={title}>
      {raw.length > 0 ? (
        <Shown read={{ here: true, bytes: raw.subarray(0, PREVIEW_MAX_BYTES), size: whole }} {...(digest === undefined ? {} : { blob: sibling(action, digest) })} name={`${id}.txt`} label={title} />
      ) : digest !== undefined && digest.sizeBytes > 0n ? (
        <Preview blob={sibling(action, digest)} name={`${id}.txt`} label={title} />
      ) : (
        <p className="text-muted">Nothing was printed.</p>
      )}
    </Section>
  );
}
