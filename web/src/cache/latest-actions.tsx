// The actions that passed through the cache last, each with what happened to it, and a way to its page.
import { Link } from "@tanstack/react-router";
import { millis } from "@/api/state";
import { CacheAction_Event as Event, type CacheAction } from "@/gen/millrace/v1/cache_pb";
import { HitIcon, MissIcon, StoredIcon } from "@/ui/icons";
import { Empty } from "@/ui/message";
import { Ago, durationText } from "@/ui/time";
import { functionNamed, inferFunction, linkSearch, type BlobRef } from "./digest";
import { DigestId } from "./digest-id";

export function LatestActions({ actions, all }: { actions: readonly CacheAction[]; all: boolean }) {
  return (
    <section aria-labelledby="latest" className="mt-8">
      <h2 id="latest">Latest actions</h2>
      {actions.length === 0 ? (
        <Empty title="No action has passed since the server started">Actions that are asked for or stored appear here. Keys of ccache, sccache and Gradle are counted above, not listed.</Empty>
      ) : (
        <ul aria-label="Latest actions, newest first" className="mt-2 border-t">
          {actions.map((action) => (
            <ActionRow key={`${action.instance} ${action.digestFunction} ${action.hash}`} action={action} all={all} />
          ))}
        </ul>
      )}
    </section>
  );
}

function ActionRow({ action, all }: { action: CacheAction; all: boolean }) {
  const blob: BlobRef = { instance: action.instance, fn: functionNamed(action.digestFunction) ?? inferFunction(action.hash) ?? "sha256", hash: action.hash, ...(action.sizeBytes === 0n ? {} : { size: action.sizeBytes }) };
  const known = action.event !== Event.MISS;
  return (
    <li className="grid grid-cols-[5rem_minmax(0,1fr)_auto] items-center gap-x-3 border-b py-1 hover:bg-hover sm:grid-cols-[5rem_minmax(0,1fr)_8rem_10rem_6rem]">
      <EventLabel event={action.event} />
      <span className="min-w-0 truncate">
        <Link to="/actions/$hash" params={{ hash: action.hash }} search={linkSearch(blob)} preload={false} className="text-link font-medium">
          {action.mnemonic !== "" ? action.mnemonic : "Action"}
        </Link>{" "}
        <span title={action.target}>{action.target}</span>
        {all && action.instance !== "" && <span className="text-muted"> in {action.instance}</span>}
      </span>
      <span className="hidden sm:inline">
        <DigestId blob={blob} of={`${action.mnemonic || "the action"} ${action.hash.slice(0, 8)}`} />
      </span>
      <span className="col-span-2 col-start-2 row-start-2 min-w-0 truncate text-muted sm:col-span-1 sm:col-start-auto sm:row-start-auto">
        {known && (action.outputs === 1 ? "1 output" : `${action.outputs} outputs`)}
        {known && action.exitCode !== 0 && <span className="text-bad"> · exit code {action.exitCode}</span>}
        {action.executedMs > 0n && ` · ran ${durationText(Number(action.executedMs))}`}
      </span>
      <span className="text-right text-muted">
        <Ago at={millis(action.time)} />
      </span>
    </li>
  );
}

function EventLabel({ event }: { event: Event }) {
  const [word, colour, Icon] = event === Event.HIT ? (["Hit", "text-ok", HitIcon] as const) : event === Event.MISS ? (["Miss", "text-warn", MissIcon] as const) : event === Event.STORED ? (["Stored", "text-run", StoredIcon] as const) : (["Seen", "text-muted", MissIcon] as const);
  return (
    <span className={`inline-flex items-center gap-1.5 font-medium ${colour}`}>
      <Icon />
      {word}
    </span>
  );
}
