// A build tool's part in the specs against a real server: blobs, actions, executions, and the events of a build, over gRPC.
import { createHash } from "node:crypto";
import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ActionSchema, CommandSchema, ContentAddressableStorage, DirectorySchema, ExecuteResponseSchema, Execution, RequestMetadataSchema, type Digest, type ExecuteResponse } from "../../src/gen/build/bazel/remote/execution/v2/remote_execution_pb.js";
import { BuildEventSchema } from "../../src/gen/build_event_stream/build_event_stream_pb.js";
import { StreamId_BuildComponent } from "../../src/gen/google/devtools/build/v1/build_events_pb.js";
import { PublishBuildEvent, PublishBuildToolEventStreamRequestSchema, type PublishBuildToolEventStreamRequest } from "../../src/gen/google/devtools/build/v1/publish_build_event_pb.js";
import { QueueService } from "../../src/gen/millrace/v1/queue_pb.js";

const METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin";

export interface Blob {
  bytes: Uint8Array;
  digest: { hash: string; sizeBytes: bigint };
}

export function blob(content: Uint8Array | string): Blob {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return { bytes, digest: { hash: createHash("sha256").update(bytes).digest("hex"), sizeBytes: BigInt(bytes.length) } };
}

export function message<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Blob {
  return blob(toBinary(schema, create(schema, init)));
}

export interface Asked {
  /** The shell's. */
  script: string;
  platform?: { name: string; value: string }[];
  invocationId?: string;
  mnemonic?: string;
  target?: string;
}

/** The clients of one build tool. */
export class BuildTool {
  private readonly transport: ReturnType<typeof createGrpcTransport>;
  readonly queue;
  private readonly cas;
  private readonly execution;

  constructor(baseUrl: string) {
    this.transport = createGrpcTransport({ baseUrl });
    this.cas = createClient(ContentAddressableStorage, this.transport);
    this.execution = createClient(Execution, this.transport);
    this.queue = createClient(QueueService, this.transport);
  }

  async store(...blobs: Blob[]): Promise<void> {
    const { responses } = await this.cas.batchUpdateBlobs({ requests: blobs.map(({ bytes, digest }) => ({ digest, data: bytes })) });
    for (const { status } of responses) if ((status?.code ?? 0) !== 0) throw new Error(status?.message);
  }

  /** Stores an action with two inputs, unlike any other, and answers with its digest. */
  async action({ script, platform = [] }: Asked): Promise<Blob["digest"]> {
    const header = blob("#pragma once\nint turn(int wheel);\n");
    const include = message(DirectorySchema, { files: [{ name: "wheel.h", digest: header.digest }] });
    const root = message(DirectorySchema, { directories: [{ name: "include", digest: include.digest }], files: [{ name: "main.h", digest: header.digest }] });
    const command = message(CommandSchema, { arguments: ["/bin/sh", "-c", script], environmentVariables: [{ name: "PATH", value: "/usr/bin:/bin" }, { name: "SALT", value: crypto.randomUUID() }], outputPaths: ["out.txt"] });
    const action = message(ActionSchema, { commandDigest: command.digest, inputRootDigest: root.digest, timeout: { seconds: 120n }, platform: { properties: platform } });
    await this.store(header, include, root, command, action);
    return action.digest;
  }

  /** Asks for an action and waits for its end. */
  async execute(actionDigest: Pick<Digest, "hash" | "sizeBytes">, asked: Partial<Asked> = {}): Promise<ExecuteResponse> {
    const metadata = create(RequestMetadataSchema, { toolDetails: { toolName: "bazel", toolVersion: "4.2.3" }, toolInvocationId: asked.invocationId ?? "", targetId: asked.target ?? "", actionMnemonic: asked.mnemonic ?? "", actionId: actionDigest.hash });
    const headers = { [METADATA]: base64Encode(toBinary(RequestMetadataSchema, metadata)) };
    for await (const { done, result } of this.execution.execute({ actionDigest, skipCacheLookup: true }, { headers })) {
      if (!done) continue;
      if (result.case !== "response") throw new Error(result.case === "error" ? result.value.message : "an end without a response");
      const response = anyUnpack(result.value, ExecuteResponseSchema);
      if (response === undefined) throw new Error(`an answer of the type ${result.value.typeUrl}`);
      return response;
    }
    throw new Error("the stream ended before the operation was done");
  }

  /** The id of the newest execution of an action. */
  async executionOf(hash: string): Promise<string> {
    for (;;) {
      const { executions } = await this.queue.listExecutions({ actionHash: hash });
      if (executions[0] !== undefined) return executions[0].id;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** Tells of a build; what is told arrives as it is told. */
  build(invocationId: string): Build {
    return new Build(createClient(PublishBuildEvent, this.transport), invocationId);
  }
}

export type Event = MessageInitShape<typeof BuildEventSchema>;

/** One build's stream of events. */
export class Build {
  private readonly streamId;
  private readonly waiting: PublishBuildToolEventStreamRequest[] = [];
  private wake = () => {};
  private over = false;
  private sent = 0n;
  private acknowledged = 0n;
  private readonly end: Promise<void>;

  constructor(client: ReturnType<typeof createClient<typeof PublishBuildEvent>>, invocationId: string) {
    this.streamId = { buildId: `build-${invocationId}`, invocationId, component: StreamId_BuildComponent.TOOL };
    this.end = (async () => {
      for await (const { sequenceNumber } of client.publishBuildToolEventStream(this.requests())) this.acknowledged = sequenceNumber;
    })();
    this.end.catch(() => {});
  }

  tell(...events: Event[]): void {
    for (const event of events) this.push({ case: "bazelEvent", value: anyPack(BuildEventSchema, create(BuildEventSchema, event)) });
  }

  /** The last event, and that all of them were acknowledged. */
  async finish(): Promise<void> {
    this.push({ case: "componentStreamFinished", value: { $typeName: "google.devtools.build.v1.BuildEvent.BuildComponentStreamFinished", type: 1 } });
    this.over = true;
    this.wake();
    await this.end;
    if (this.acknowledged !== this.sent) throw new Error(`${this.acknowledged} of ${this.sent} events were acknowledged`);
  }

  private push(event: NonNullable<NonNullable<PublishBuildToolEventStreamRequest["orderedBuildEvent"]>["event"]>["event"]): void {
    this.sent += 1n;
    this.waiting.push(create(PublishBuildToolEventStreamRequestSchema, { orderedBuildEvent: { streamId: this.streamId, sequenceNumber: this.sent, event: { eventTime: timestampFromMs(Date.now()), event } } }));
    this.wake();
  }

  private async *requests(): AsyncGenerator<PublishBuildToolEventStreamRequest> {
    for (;;) {
      const next = this.waiting.shift();
      if (next !== undefined) yield next;
      else if (this.over) return;
      else await new Promise<void>((done) => (this.wake = done));
    }
  }
}
