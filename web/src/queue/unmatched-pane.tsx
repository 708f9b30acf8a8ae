// Actions that no platform queue satisfies: why, as a diff against the nearest, and what to do.
import { Link } from "@tanstack/react-router";
import { Section } from "@/cache/parts";
import type { Queue, WaitingGroup } from "@/gen/millrace/v1/queue_pb";
import { useNow } from "@/ui/time";
import { propertiesText } from "./mismatch";
import { MismatchDiff } from "./mismatch-diff";
import { PropertyList } from "./property-list";
import { unmatchedWords } from "./words";

export function UnmatchedPane({ queue }: { queue: Queue }) {
  const now = useNow(queue.unmatched.length > 0);
  if (queue.unmatched.length === 0) return null;
  return (
    <Section id="unmatched" title="No runner can ever take these">
      <ul aria-labelledby="unmatched" className="grid gap-4">
        {queue.unmatched.map((group) => (
          <Group key={propertiesText(group.properties)} group={group} queue={queue} now={now} />
        ))}
      </ul>
      <p className="mt-2 text-muted">
        Ask for what is offered (Bazel: <code>exec_properties</code>, <code className="whitespace-nowrap">--remote_default_exec_properties</code>), or <Link to="/runners" className="text-link">add a runner</Link> that offers what is asked for: <code className="whitespace-nowrap">millrace-runner --property NAME=VALUE</code>.
      </p>
    </Section>
  );
}

function Group({ group, queue, now }: { group: WaitingGroup; queue: Queue; now: number }) {
  const [nearest, ...others] = group.mismatches;
  const platform = (name: string) => queue.platforms.find((each) => each.name === name);
  return (
    <li className="min-w-0">
      <p className="font-medium text-bad" data-testid="why">
        {unmatchedWords(group, Number(queue.unmatchedWaitMs), now)}
      </p>
      <div className="mt-1.5 max-w-3xl">
        {nearest === undefined ? (
          <p>
            <span className="text-muted">They ask for </span>
            <PropertyList properties={group.properties} none="any platform" />
          </p>
        ) : (
          <MismatchDiff requested={group.properties} mismatch={nearest} platform={platform(nearest.platform)} />
        )}
        {others.length > 0 && (
          <details className="mt-1.5">
            <summary className="cursor-pointer text-muted">{others.length === 1 ? "Against one more platform" : `Against ${others.length} more platforms`}</summary>
            <div className="mt-1.5 grid gap-2">
              {others.map((mismatch) => (
                <MismatchDiff key={mismatch.platform} requested={group.properties} mismatch={mismatch} platform={platform(mismatch.platform)} />
              ))}
            </div>
          </details>
        )}
      </div>
    </li>
  );
}
