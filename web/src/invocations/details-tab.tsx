// What else is known of a build: its command line, options, configurations, what its workspace said of itself.
import { millis } from "@/api/state";
import { quote } from "@/api/curl";
import { Fact, Facts, Section } from "@/cache/parts";
import type { Invocation, KeyValue } from "@/gen/millrace/v1/invocation_pb";
import { Command, Id } from "@/ui/copy";
import { Ago } from "@/ui/time";

export function DetailsTab({ invocation }: { invocation: Invocation }) {
  const { configurations, aborted, lifecycle, truncated } = invocation;
  return (
    <>
      {invocation.commandLine.length > 0 && (
        <div>
          <h2 className="mb-1">Command line</h2>
          <Command line={words(invocation.commandLine)} label="Command line" />
        </div>
      )}
      {invocation.canonicalCommandLine.length > 0 && (
        <details className="mt-3">
          <summary className="cursor-pointer text-muted">With all that configuration files added</summary>
          <div className="mt-1">
            <Command line={words(invocation.canonicalCommandLine)} label="Whole command line" />
          </div>
        </details>
      )}
      {invocation.explicitOptions.length > 0 && (
        <Section id="options" title="Options that were given">
          <ul>
            {invocation.explicitOptions.map((option, index) => (
              <li key={index}>
                <code className="[overflow-wrap:anywhere]">{option}</code>
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section id="facts" title="Facts">
        <Facts>
          <Fact label="Build tool">{invocation.tool || <span className="text-muted">not said</span>}</Fact>
          <Fact label="Workspace">{invocation.workspaceDirectory === "" ? <span className="text-muted">not said</span> : <code>{invocation.workspaceDirectory}</code>}</Fact>
          <Fact label="Instance">{invocation.instance === "" ? <span className="text-muted">without a name</span> : invocation.instance}</Fact>
          <Fact label="Build">
            <Id id={invocation.buildId} label="the id of the build" />
            {invocation.attempt > 1n && ` attempt ${invocation.attempt}`}
          </Fact>
          {invocation.keywords.length > 0 && <Fact label="Keywords">{invocation.keywords.join(", ")}</Fact>}
          <Fact label="Events">{String(invocation.events)}</Fact>
          {invocation.exitCode !== undefined && (
            <Fact label="Exit code">
              {invocation.exitCode} {invocation.exitCodeName}
            </Fact>
          )}
        </Facts>
      </Section>
      {configurations.length > 0 && (
        <Section id="configurations" title="Configurations">
          <ul>
            {configurations.map((each) => (
              <li key={each.id} className="flex flex-wrap items-center gap-x-3">
                <span className="font-medium">{each.mnemonic}</span>
                <span className="text-muted">{[each.platform, each.cpu, each.tool ? "for tools of the build" : ""].filter((part) => part !== "").join(" · ")}</span>
                <Id id={each.id} label={`the id of ${each.mnemonic}`} />
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Pairs id="status" title="Workspace status" pairs={invocation.workspaceStatus} />
      <Pairs id="metadata" title="Build metadata" pairs={invocation.metadata} />
      {aborted.length > 0 && (
        <Section id="aborted" title="What did not come">
          <ul>
            {aborted.map((each, index) => (
              <li key={index} className="[overflow-wrap:anywhere]">
                <span className="font-medium">{each.subject}</span> <span className="text-warn">{each.reason}</span> <span className="text-muted">{each.description}</span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      {lifecycle.length > 0 && (
        <Section id="lifecycle" title="Lifecycle">
          <ul>
            {lifecycle.map((each, index) => (
              <li key={index}>
                {each.name} <span className="text-muted">{each.result}</span>{" "}
                <span className="text-muted">
                  <Ago at={millis(each.time)} />
                </span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      {truncated.length > 0 && (
        <Section id="truncated" title="What is not here">
          <ul className="list-disc pl-5 text-warn">
            {truncated.map((each, index) => (
              <li key={index}>{each}</li>
            ))}
          </ul>
        </Section>
      )}
    </>
  );
}

function Pairs({ id, title, pairs }: { id: string; title: string; pairs: readonly KeyValue[] }) {
  if (pairs.length === 0) return null;
  return (
    <Section id={id} title={title}>
      <Facts>
        {pairs.map((each, index) => (
          <Fact key={index} label={each.key}>
            {each.value}
          </Fact>
        ))}
      </Facts>
    </Section>
  );
}

function words(line: readonly string[]): string {
  return line.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : quote(word))).join(" ");
}
