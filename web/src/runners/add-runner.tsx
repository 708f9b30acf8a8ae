// Ready commands that add a runner, with a registration token made for them.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useMutation } from "@connectrpc/connect-query";
import { useState } from "react";
import { quote } from "@/api/curl";
import { errorText } from "@/api/transport";
import { RunnerService } from "@/gen/millrace/v1/runner_pb";
import { Button } from "@/ui/button";
import { Command } from "@/ui/copy";
import { Dialog } from "@/ui/dialog";
import { Alert } from "@/ui/message";

const SYSTEMS = ["Linux", "macOS", "Windows"] as const;
type System = (typeof SYSTEMS)[number];

const ONCE_TTL_S = 3_600n;
const REUSABLE_TTL_S = 30n * 86_400n;

export function AddRunner({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Add a runner" description="A runner asks this server for work; nothing ever connects to it. The machine only has to reach this address.">
      <AddRunnerSteps />
    </Dialog>
  );
}

function AddRunnerSteps() {
  const [system, setSystem] = useState<System>(guessSystem);
  const [reusable, setReusable] = useState(false);
  const create = useMutation(RunnerService.method.createRegistrationToken);
  const token = create.data?.token;
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-3">
      <fieldset className="flex flex-wrap gap-1.5">
        <legend className="sr-only">Operating system of the runner</legend>
        {SYSTEMS.map((each) => (
          <label key={each} className={`cursor-pointer rounded-md border px-2.5 py-0.5 has-focus-visible:outline-2 has-focus-visible:outline-accent ${each === system ? "border-accent bg-accent-soft font-medium" : "border-line-strong text-muted hover:bg-hover"}`}>
            <input type="radio" name="system" className="sr-only" checked={each === system} onChange={() => setSystem(each)} />
            {each}
          </label>
        ))}
      </fieldset>
      {token === undefined ? (
        <>
          <label className="flex items-center gap-2">
            <input type="checkbox" checked={reusable} onChange={(event) => setReusable(event.target.checked)} className="size-4 accent-accent" />
            For many machines: the token can be used again, for 30 days
          </label>
          <div>
            <Button look="primary" disabled={create.isPending} onClick={() => create.mutate({ reusable, ttlSeconds: reusable ? REUSABLE_TTL_S : ONCE_TTL_S })}>
              {create.isPending ? "Making a token …" : "Make a registration token"}
            </Button>
          </div>
          {create.error !== null && <Alert>{errorText(create.error)}</Alert>}
        </>
      ) : (
        <>
          <p>
            Run this on the machine, where <code>millrace-runner</code> lies. The token is shown this once{create.data?.expiresAt === undefined ? "" : ` and is good until ${new Date(timestampMs(create.data.expiresAt)).toLocaleString()}`}
            {reusable ? "." : ", for one runner."}
          </p>
          <Command line={command(system, token)} label={`Command for ${system}`} />
          <p className="text-muted">It appears in the list as soon as it has registered. It keeps its identity in its data folder, so the token is not needed again.</p>
          <div>
            <Button onClick={() => create.reset()}>Make another token</Button>
          </div>
        </>
      )}
    </div>
  );
}

function command(system: System, token: string): string {
  const server = location.origin;
  if (system === "Windows") return `.\\millrace-runner.exe --server "${server}" --token "${token}" --name $env:COMPUTERNAME --labels windows`;
  return `./millrace-runner --server ${quote(server)} --token ${quote(token)} --name "$(hostname)" --labels ${system === "macOS" ? "macos" : "linux"}`;
}

function guessSystem(): System {
  const agent = navigator.userAgent;
  if (agent.includes("Windows")) return "Windows";
  return agent.includes("Mac OS") ? "macOS" : "Linux";
}
