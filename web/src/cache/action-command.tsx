// What an action was: its command, environment, platform and inputs, where the client uploaded them.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { errorText } from "@/api/transport";
import { quote } from "@/api/curl";
import { CommandSchema, type Action, type Command as CommandMessage, type Platform } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { Command } from "@/ui/copy";
import { Alert } from "@/ui/message";
import { durationText } from "@/ui/time";
import { linkSearch, sibling, type BlobRef } from "./digest";
import { DigestId } from "./digest-id";
import { InputTree } from "./input-tree";
import { Fact, Facts, Missing, Section } from "./parts";
import { useMessage, type Message } from "./read";

const RARE = "Clients that only cache, such as Bazel without remote execution, seldom upload it: the result above is all that the cache needs.";

export function ActionCommand({ action, found, error }: { action: BlobRef; found: Message<Action> | undefined; error: Error | null }) {
  if (error !== null) return wrap(<Alert>{errorText(error)}</Alert>);
  if (found === undefined) return wrap(<p className="text-muted">Looking for the action …</p>);
  if (found.state === "missing") return wrap(<Missing>The Action message is not in the cache. {RARE}</Missing>);
  if (found.state === "other") return wrap(<Missing>What is stored under this digest can&apos;t be shown as an Action: {found.why}.</Missing>);
  return <Found action={action} message={found.message} />;
}

function Found({ action, message }: { action: BlobRef; message: Action }) {
  const commandBlob = message.commandDigest === undefined ? undefined : sibling(action, message.commandDigest);
  const root = message.inputRootDigest === undefined ? undefined : sibling(action, message.inputRootDigest);
  const command = useMessage(CommandSchema, commandBlob);
  const read = command.data?.state === "here" ? command.data.message : undefined;
  return (
    <>
      <Section id="command" title="Command">
        {commandBlob === undefined ? (
          <Missing>The action names no command.</Missing>
        ) : command.error !== null ? (
          <Alert>{errorText(command.error)}</Alert>
        ) : command.data === undefined ? (
          <p className="text-muted">Reading the command …</p>
        ) : command.data.state === "missing" ? (
          <Missing>The Command message is not in the cache. {RARE}</Missing>
        ) : command.data.state === "other" ? (
          <Missing>What is stored as the command can&apos;t be shown: {command.data.why}.</Missing>
        ) : (
          <Arguments command={command.data.message} />
        )}
        <div className="mt-3">
          <Facts>
            {commandBlob !== undefined && (
              <Fact label="Command digest">
                <DigestId blob={commandBlob} of="the command" />
              </Fact>
            )}
            <Fact label="Timeout">{message.timeout === undefined ? <span className="text-muted">none</span> : durationText(Number(message.timeout.seconds) * 1000 + message.timeout.nanos / 1e6)}</Fact>
            {message.doNotCache && <Fact label="Caching">the client asked not to cache it</Fact>}
            {read !== undefined && (
              <Fact label="Working directory">{read.workingDirectory === "" ? <span className="text-muted">the input root</span> : <code>{read.workingDirectory}</code>}</Fact>
            )}
            <Fact label="Platform">
              <Properties platform={message.platform ?? read?.platform} />
            </Fact>
            {read !== undefined && <CommandFacts command={read} />}
          </Facts>
        </div>
      </Section>
      {root !== undefined && (
        <Section
          id="inputs"
          title="Inputs"
          aside={
            <>
              <Link to="/blobs/$hash" params={{ hash: root.hash }} search={{ ...linkSearch(root), kind: "directory", name: "inputs" }} preload={false} className="text-link">
                Browse the input root
              </Link>
              <DigestId blob={root} of="the input root" />
            </>
          }
        >
          <InputTree root={root} />
        </Section>
      )}
    </>
  );
}

function Arguments({ command }: { command: CommandMessage }) {
  if (command.arguments.length === 0) return <Missing>The command has no arguments.</Missing>;
  return <Command line={command.arguments.map(word).join(" ")} label="Command line" />;
}

function CommandFacts({ command }: { command: CommandMessage }) {
  const outputs = command.outputPaths.length > 0 ? command.outputPaths : [...command.outputFiles, ...command.outputDirectories];
  return (
    <>
      <Fact label="Environment">
        <Lines of={command.environmentVariables.map((each) => `${each.name}=${each.value}`)} none="empty" />
      </Fact>
      <Fact label="Output paths">
        <Lines of={outputs} none="none" />
      </Fact>
    </>
  );
}

function Properties({ platform }: { platform: Platform | undefined }) {
  return <Lines of={(platform?.properties ?? []).map((each) => `${each.name}=${each.value}`)} none="any" />;
}

function Lines({ of, none }: { of: readonly string[]; none: string }) {
  if (of.length === 0) return <span className="text-muted">{none}</span>;
  return (
    <ul>
      {of.map((line, index) => (
        <li key={index}>
          <code className="[overflow-wrap:anywhere]">{line}</code>
        </li>
      ))}
    </ul>
  );
}

/** Quoted only where a shell needs it. */
function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : quote(text);
}

function wrap(children: ReactNode) {
  return (
    <Section id="command" title="Command">
      {children}
    </Section>
  );
}
