// How an action ended: exit code, worker, where the time went, what it printed.
import { millis } from "@/api/state";
import type { ActionResult, Digest } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { StateLabel } from "@/ui/status";
import { State } from "@/api/state";
import { Ago } from "@/ui/time";
import { sibling, type BlobRef } from "./digest";
import { Fact, Facts, Section } from "./parts";
import { Preview, Shown } from "./preview";
import { PREVIEW_MAX_BYTES } from "./read";
import { phases } from "./timings";
import { Waterfall } from "./waterfall";

export function ActionOutcome({ result }: { result: ActionResult }) {
  const metadata = result.executionMetadata;
  const parts = phases(metadata);
  const done = millis(metadata?.workerCompletedTimestamp ?? metadata?.executionCompletedTimestamp);
  return (
    <Section id="outcome" title="Result" aside={<StateLabel state={result.exitCode === 0 ? State.SUCCESS : State.FAILURE} word={`exit code ${result.exitCode}`} />}>
      <Facts>
        <Fact label="Worker">{metadata === undefined || metadata.worker === "" ? <span className="text-muted">not said</span> : metadata.worker}</Fact>
        <Fact label="Executed">{done === undefined ? <span className="text-muted">not said when</span> : <Ago at={done} />}</Fact>
        {parts.length === 0 && (
          <Fact label="Time">
            <span className="text-muted">the result does not say where it went</span>
          </Fact>
        )}
      </Facts>
      {parts.length > 0 && (
        <div className="mt-3">
          <Waterfall parts={parts} />
        </div>
      )}
    </Section>
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
  return (
    <Section id={id} title={title}>
      <Printed name={`${id}.txt`} title={title} action={action} raw={raw} digest={digest} />
    </Section>
  );
}

/** What was printed, as the result holds it: with it or as a blob. */
export function Printed({ name, title, action, raw, digest }: { name: string; title: string; action: BlobRef; raw: Uint8Array; digest: Digest | undefined }) {
  if (raw.length > 0) return <Shown read={{ here: true, bytes: raw.subarray(0, PREVIEW_MAX_BYTES), size: BigInt(raw.length) }} {...(digest === undefined ? {} : { blob: sibling(action, digest) })} name={name} label={title} />;
  if (digest !== undefined && digest.sizeBytes > 0n) return <Preview blob={sibling(action, digest)} name={name} label={title} />;
  return <p className="text-muted">Nothing was printed.</p>;
}
