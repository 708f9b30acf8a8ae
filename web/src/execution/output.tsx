// What the command prints: live by the log view while it runs; afterwards as the result holds it.
import { useQueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { signedOut } from "@/api/session";
import { millis } from "@/api/state";
import { Printed } from "@/cache/action-outcome";
import { Missing, Section } from "@/cache/parts";
import { PREVIEW_MAX_BYTES } from "@/cache/read";
import type { ActionResult, Digest } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import type { Execution } from "@/gen/millrace/v1/queue_pb";
import { LogPane } from "@/log/log-pane";
import { Button } from "@/ui/button";
import { actionOf, isDone, Stage } from "./stage";

export interface OutputProps {
  execution: Execution;
  /** Undefined while it is read, and where there is none. */
  result: ActionResult | undefined;
  pending: boolean;
}

export function Output(props: OutputProps) {
  const { execution, result } = props;
  return (
    <>
      <Stream {...props} id="stdout" title="Standard output" logId={execution.stdoutLogId} raw={result?.stdoutRaw} digest={result?.stdoutDigest} tall />
      <Stream {...props} id="stderr" title="Standard error" logId={execution.stderrLogId} raw={result?.stderrRaw} digest={result?.stderrDigest} />
    </>
  );
}

function Stream({ execution, pending, result, id, title, logId, raw, digest, tall = false }: OutputProps & { id: string; title: string; logId: string; raw: Uint8Array | undefined; digest: Digest | undefined; tall?: boolean }) {
  const client = useQueryClient();
  const done = isDone(execution);
  // The reader who saw it come keeps it where it is.
  const [sawLive] = useState(!done);
  const [length, setLength] = useState(0);
  const [wanted, setWanted] = useState(false);
  const [lines, setLines] = useState<string>();
  const runs = execution.stage === Stage.EXECUTING || execution.stage === Stage.OUTPUT_UPLOAD;
  const asLog = logId !== "" && (runs || (done && ((sawLive && length > 0) || wanted)));
  const long = done && !asLog && logId !== "" && (digest?.sizeBytes ?? 0n) > BigInt(PREVIEW_MAX_BYTES);
  const height = tall ? "h-80" : "h-52";
  const aside = long ? (
    <Button look="quiet" onClick={() => setWanted(true)}>
      Show all as a log
    </Button>
  ) : undefined;
  if (asLog) {
    return (
      <Box title={title} height={height}>
        <LogPane
          logId={logId}
          title={`${title} as a log`}
          live={!done}
          failed={false}
          origin={millis(execution.startedAt) ?? 0}
          lines={lines}
          onLines={setLines}
          onStay={() => {}}
          onUnauthenticated={() => signedOut(client)}
          onLength={setLength}
        />
      </Box>
    );
  }
  if (!done) {
    return (
      <Box title={title} height={height}>
        <p className="m-auto px-3 text-center text-muted">{runs ? "Nothing was printed yet." : "What the command prints appears here as soon as it runs."}</p>
      </Box>
    );
  }
  return (
    <Section id={id} title={title} aside={aside}>
      <div className={sawLive ? (tall ? "min-h-80" : "min-h-52") : ""}>
        {pending ? (
          <p className="text-muted">Reading the result …</p>
        ) : result === undefined ? (
          <Missing>
            {execution.startedAt === undefined ? "The command was never run: there is nothing that it printed." : "The result is not kept any more."}{" "}
            {execution.startedAt !== undefined && logId !== "" && (
              <Button look="quiet" onClick={() => setWanted(true)}>
                Look for its log
              </Button>
            )}
          </Missing>
        ) : (
          <Printed name={`${id}.txt`} title={title} action={actionOf(execution)} raw={raw ?? new Uint8Array()} digest={digest} />
        )}
      </div>
    </Section>
  );
}

/** As high before something comes as after. No region of its own: the log within is one. */
function Box({ title, height, children }: { title: string; height: string; children: ReactNode }) {
  return (
    <div className="mt-6">
      <h2 className="min-h-7 border-b pb-1">{title}</h2>
      <div className={`mt-2 flex ${height} flex-col overflow-hidden rounded-md border`}>{children}</div>
    </div>
  );
}
