// What an administrator can do with an execution: cancel it, move it, give it another priority. Each is asked once more.
import { createConnectQueryKey, useMutation } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useId, useState, type ReactNode } from "react";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import { QueueService, type Execution } from "@/gen/millrace/v1/queue_pb";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { MoreIcon } from "@/ui/icons";
import { Menu, type MenuItem } from "@/ui/menu";
import { executionTitle, isDone, Stage } from "./stage";

type Asked = "cancel" | "move" | "priority";
const FIELD = "h-7 min-w-0 rounded-md border border-line-strong bg-raised px-2";
const PRIORITY_MAX = 2_147_483_647;

export interface Handling {
  onChanged: (execution: Execution | undefined) => void;
  onProblem: (text: string) => void;
}

/** Platform queues by name, with what people call them. */
export type Platforms = ReadonlyMap<string, string>;
const NONE: Platforms = new Map();

/** The menu of a row; nothing where there is nothing to do. */
export function ExecutionMenu({ execution, platforms = NONE, ...handling }: { execution: Execution; platforms?: Platforms } & Handling) {
  const [asked, setAsked] = useState<Asked>();
  const { admin } = useRights();
  if (isDone(execution) || !admin) return null;
  const queued = execution.stage === Stage.QUEUED;
  const items: MenuItem[] = [
    ...(queued ? [{ label: "Change the priority …", onSelect: () => setAsked("priority") }] : []),
    ...(queued && [...platforms.keys()].some((name) => name !== execution.platform) ? [{ label: "Move to another platform …", onSelect: () => setAsked("move") }] : []),
    { label: "Cancel …", danger: true, onSelect: () => setAsked("cancel") },
  ];
  return (
    <>
      <Menu
        items={items}
        trigger={
          <Button look="quiet" square aria-label={`Actions for ${executionTitle(execution)}`}>
            <MoreIcon />
          </Button>
        }
      />
      {asked !== undefined && <ExecutionDialog what={asked} execution={execution} platforms={platforms} close={() => setAsked(undefined)} {...handling} />}
    </>
  );
}

export function CancelButton({ execution, ...handling }: { execution: Execution } & Handling) {
  const [asked, setAsked] = useState(false);
  const { admin } = useRights();
  if (isDone(execution)) return null;
  return (
    <>
      <Button onClick={() => setAsked(true)} disabled={!admin} title={admin ? "Ends it for all who wait for it" : "Only an administrator can cancel it here"}>
        Cancel
      </Button>
      {asked && <ExecutionDialog what="cancel" execution={execution} platforms={NONE} close={() => setAsked(false)} {...handling} />}
    </>
  );
}

function ExecutionDialog({ what, execution, platforms, close, onChanged, onProblem }: { what: Asked; execution: Execution; platforms: Platforms; close: () => void } & Handling) {
  const client = useQueryClient();
  const done = {
    onSuccess: (answer: { execution?: Execution | undefined }) => {
      onProblem("");
      onChanged(answer.execution);
      void client.invalidateQueries({ queryKey: createConnectQueryKey({ schema: QueueService.method.listExecutions, cardinality: "infinite" }) });
    },
    onError: (error: unknown) => onProblem(errorText(error)),
  };
  const cancel = useMutation(QueueService.method.cancelExecution, done);
  const move = useMutation(QueueService.method.moveExecution, done);
  const reprioritize = useMutation(QueueService.method.reprioritizeExecution, done);
  const others = [...platforms].filter(([name]) => name !== execution.platform);
  const [platform, setPlatform] = useState(others[0]?.[0] ?? "");
  const [priority, setPriority] = useState(String(execution.priority));
  const field = useId();
  const { id } = execution;
  const valid = /^-?\d{1,10}$/.test(priority.trim()) && Math.abs(Number(priority)) <= PRIORITY_MAX;
  const asked = { execution, close };
  if (what === "cancel") {
    const waiting = execution.operations.length;
    return (
      <Asking {...asked} title="Cancel this execution?" description={waiting > 1 ? `All ${waiting} clients that wait for it are told that it was cancelled.` : "The client that waits for it is told that it was cancelled."} word="Cancel it" danger keep="Keep it" onYes={() => cancel.mutate({ id })} />
    );
  }
  if (what === "move") {
    return (
      <Asking {...asked} title="Move to another platform" description="It is run there, whether or not that platform offers what it asks for." word="Move" onYes={() => move.mutate({ id, platform })}>
        <label htmlFor={field} className="block font-medium">
          Platform
        </label>
        <select id={field} value={platform} onChange={(event) => setPlatform(event.target.value)} className={`${FIELD} mt-1 w-full`}>
          {others.map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </Asking>
    );
  }
  return (
    <Asking {...asked} title="Change the priority" description="Lower is more important; 0 is what clients ask for by default." word="Change" disabled={!valid} onYes={() => reprioritize.mutate({ id, priority: Number(priority) })}>
      <label htmlFor={field} className="block font-medium">
        Priority
      </label>
      <input id={field} value={priority} onChange={(event) => setPriority(event.target.value)} inputMode="numeric" autoComplete="off" aria-invalid={!valid} className={`${FIELD} mt-1 w-32`} />
      {!valid && (
        <p role="alert" className="mt-1 text-bad">
          A whole number, such as -10 or 5.
        </p>
      )}
    </Asking>
  );
}

function Asking({ execution, close, title, description, word, keep = "Back", danger = false, disabled = false, onYes, children }: { execution: Execution; close: () => void; title: string; description: string; word: string; keep?: string; danger?: boolean; disabled?: boolean; onYes: () => void; children?: ReactNode }) {
  return (
    <Dialog open onOpenChange={(open) => !open && close()} title={title} description={description}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          close();
          onYes();
        }}
      >
        <p className="mb-3 truncate" title={executionTitle(execution)}>
          <code>{executionTitle(execution)}</code>
        </p>
        {children}
        <div className="mt-4 flex justify-end gap-2">
          <Button onClick={close}>{keep}</Button>
          <Button type="submit" look={danger ? "danger" : "primary"} disabled={disabled}>
            {word}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
