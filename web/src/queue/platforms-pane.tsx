// The platform queues in the order in which an action looks for one: what each offers, who serves it, what waits and why.
import { useMutation } from "@connectrpc/connect-query";
import { useRights } from "@/api/session";
import { millis } from "@/api/state";
import { errorText } from "@/api/transport";
import { Section } from "@/cache/parts";
import type { PlatformQueue, QueueRunner, WaitingGroup } from "@/gen/millrace/v1/queue_pb";
import { RunnerService } from "@/gen/millrace/v1/runner_pb";
import { countText } from "@/ui/bytes";
import { Button } from "@/ui/button";
import { useNow } from "@/ui/time";
import { propertiesText } from "./mismatch";
import { PropertyList } from "./property-list";
import { platformTitle, platformWords, slotsTaken, waitText } from "./words";

export function PlatformsPane({ platforms, onProblem }: { platforms: readonly PlatformQueue[]; onProblem: (text: string) => void }) {
  if (platforms.length === 0) return null;
  return (
    <Section id="platforms" title="Platforms" aside={<span className="text-muted">an action goes to the first that satisfies it</span>}>
      <ul aria-labelledby="platforms" className="-mt-2">
        {platforms.map((platform) => (
          <Platform key={platform.name} platform={platform} onProblem={onProblem} />
        ))}
      </ul>
    </Section>
  );
}

function Platform({ platform, onProblem }: { platform: PlatformQueue; onProblem: (text: string) => void }) {
  const now = useNow(platform.queued > 0n);
  const why = platformWords(platform, now);
  const oldest = millis(platform.oldestQueuedAt);
  const taking = platform.runners.filter((runner) => runner.online && !runner.draining);
  const slots = taking.reduce((sum, runner) => sum + Math.max(1, runner.slots), 0);
  return (
    <li className="border-b py-3">
      <div className="flex flex-wrap items-start gap-x-6 gap-y-2">
        <div className="min-w-0 flex-[1_1_20rem]">
          <h3 title={platform.name} className="font-semibold [overflow-wrap:anywhere]">
            {platformTitle(platform)}
            {platform.configured && <span className="ml-2 font-normal text-muted">configured</span>}
          </h3>
          <div className="mt-0.5">
            <PropertyList properties={platform.properties} none="offers no property: takes what asks for none" />
          </div>
        </div>
        <dl className="grid grid-cols-[4.5rem_4rem_3rem_4.5rem] gap-x-3 text-right">
          <Figure label="Wait" value={countText(platform.queued)} />
          <Figure label="Run" value={countText(platform.executing)} />
          <Figure label="Slots" value={String(slots)} />
          <Figure label="Oldest" value={oldest === undefined ? "–" : waitText(now - oldest)} />
        </dl>
      </div>
      {why !== undefined && (
        <p className={`mt-1.5 ${taking.length === 0 ? "font-medium text-bad" : "text-warn"}`} data-testid="why">
          {why}
        </p>
      )}
      {platform.runners.length > 0 && (
        <ul aria-label={`Runners of ${platformTitle(platform)}`} className="mt-1.5 grid grid-cols-1 gap-x-6 sm:grid-cols-2">
          {platform.runners.map((runner) => (
            <RunnerLine key={runner.uuid} runner={runner} onProblem={onProblem} />
          ))}
        </ul>
      )}
      {platform.waiting.length > 0 && <Waiting groups={platform.waiting} now={now} name={platformTitle(platform)} />}
    </li>
  );
}

function Figure({ label, value }: { label: string; value: string }) {
  return (
    <div className="min-w-10">
      <dt className="text-[12px] leading-4 text-muted">{label}</dt>
      <dd className="text-[15px] leading-6 font-semibold whitespace-nowrap">{value}</dd>
    </div>
  );
}

function RunnerLine({ runner, onProblem }: { runner: QueueRunner; onProblem: (text: string) => void }) {
  const { admin } = useRights();
  const drain = useMutation(RunnerService.method.drainRunner, { onSuccess: () => onProblem(""), onError: (error) => onProblem(errorText(error)) });
  const { busy, all, ahead } = slotsTaken(runner);
  const [sign, word, colour] = !runner.online ? ["✗", "offline", "text-bad"] : runner.draining ? ["↓", "draining", "text-warn"] : busy >= all ? ["▸", "busy", "text-run"] : ["●", "free", "text-ok"];
  return (
    <li className="flex min-h-8 min-w-0 items-center gap-x-2">
      <span className={`inline-flex w-20 shrink-0 items-center gap-1.5 font-medium ${colour}`}>
        <span aria-hidden="true" className="w-3 text-center">
          {sign}
        </span>
        {word}
      </span>
      <span className="min-w-0 flex-1 truncate" title={runner.name}>
        {runner.name}{" "}
        <span className="text-muted">
          {busy} of {all} {all === 1 ? "slot" : "slots"}
          {ahead > 0 && <span title="Their inputs are fetched while the slots are busy"> · {ahead} ahead</span>}
        </span>
      </span>
      {admin && (
        <Button look="quiet" disabled={drain.isPending} aria-label={`${runner.draining ? "Resume" : "Drain"} ${runner.name}`} title={runner.draining ? "Gets work again" : "Finishes what it has, gets nothing new"} onClick={() => drain.mutate({ uuid: runner.uuid, resume: runner.draining })}>
          {runner.draining ? "Resume" : "Drain"}
        </Button>
      )}
    </li>
  );
}

function Waiting({ groups, now, name }: { groups: readonly WaitingGroup[]; now: number; name: string }) {
  return (
    <details className="mt-1.5" open={groups.length <= 3}>
      <summary className="cursor-pointer text-muted">What waits, by what it asks for</summary>
      <ul aria-label={`What waits for ${name}`} className="mt-1 grid gap-1">
        {groups.map((group) => {
          const oldest = millis(group.oldestQueuedAt);
          return (
            <li key={propertiesText(group.properties)} className="grid grid-cols-[4rem_minmax(0,1fr)_auto] items-baseline gap-x-3">
              <span className="text-right font-medium">{countText(group.queued)}</span>
              <PropertyList properties={group.properties} none="any platform" />
              <span className="text-right text-muted">{oldest !== undefined && `oldest ${waitText(now - oldest)}`}</span>
            </li>
          );
        })}
      </ul>
    </details>
  );
}
