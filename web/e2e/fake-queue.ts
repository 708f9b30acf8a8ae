// A queue of remote execution for the stand-in server: platforms, executions and builds in maps; a test changes them and
// says so, and the watches tell the pages.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { ExecuteResponseSchema } from "../src/gen/build/bazel/remote/execution/v2/remote_execution_pb.js";
import { Operations, OperationSchema } from "../src/gen/google/longrunning/operations_pb.js";
import { InvocationSchema, InvocationService, InvocationTargetSchema, type Invocation, type InvocationTarget } from "../src/gen/millrace/v1/invocation_pb.js";
import { ExecutionSchema, ExecutionStage, QueueSchema, QueueService, type Execution, type Queue } from "../src/gen/millrace/v1/queue_pb.js";

export class FakeQueue {
  queue: Queue = create(QueueSchema, { unmatchedWaitMs: 10_000n });
  readonly executions = new Map<string, Execution>();
  /** By the name of an operation. */
  readonly responses = new Map<string, MessageInitShape<typeof ExecuteResponseSchema>>();
  readonly invocations = new Map<string, Invocation>();
  /** By the id of an invocation. */
  readonly targets = new Map<string, InvocationTarget[]>();
  /** What was asked for: "drain uuid". */
  readonly asked: string[] = [];
  private readonly waiting = new Set<() => void>();

  execution(init: MessageInitShape<typeof ExecutionSchema>): Execution {
    const made = create(ExecutionSchema, { digestFunction: "sha256", ...init });
    this.executions.set(made.id, made);
    return made;
  }

  invocation(init: MessageInitShape<typeof InvocationSchema>, targets: MessageInitShape<typeof InvocationTargetSchema>[] = []): Invocation {
    const made = create(InvocationSchema, init);
    this.invocations.set(made.id, made);
    this.targets.set(
      made.id,
      targets.map((each) => create(InvocationTargetSchema, each)),
    );
    return made;
  }

  change(execution: Execution, more: Partial<Execution>): Execution {
    const next = create(ExecutionSchema, { ...execution, ...more });
    this.executions.set(next.id, next);
    this.changed();
    return next;
  }

  changed(): void {
    this.queue = create(QueueSchema, { ...this.queue, time: timestampFromMs(Date.now()) });
    for (const each of this.waiting) each();
  }

  /** The answer now, and after each change, until it says that it was the last. */
  async *watch<T>(signal: AbortSignal, now: () => { message: T; last: boolean }): AsyncGenerator<T> {
    let changed = true;
    const wake = { now: () => {} };
    const listener = () => {
      changed = true;
      wake.now();
    };
    this.waiting.add(listener);
    signal.addEventListener("abort", listener);
    try {
      while (!signal.aborted) {
        if (changed) {
          changed = false;
          const { message, last } = now();
          yield message;
          if (last) return;
        } else await new Promise<void>((done) => (wake.now = done));
      }
    } finally {
      this.waiting.delete(listener);
    }
  }

  find(id: string): Execution {
    const found = this.executions.get(id);
    if (found === undefined) throw new ConnectError(`execution ${id} not found`, Code.NotFound);
    return found;
  }

  findInvocation(id: string): Invocation {
    const found = this.invocations.get(id);
    if (found === undefined) throw new ConnectError(`invocation ${id} not found`, Code.NotFound);
    return found;
  }
}

export function queueRoutes(router: ConnectRouter, fake: FakeQueue): void {
  router.service(QueueService, {
    getQueue: () => ({ queue: fake.queue }),
    watchQueue: (_request, { signal }) => fake.watch(signal, () => ({ message: { queue: fake.queue }, last: false })),
    listExecutions: ({ instance, actionHash, invocationId, stages, pageSize, pageToken }) => {
      const all = [...fake.executions.values()]
        .filter((each) => (instance === undefined || each.instance === instance) && (actionHash === "" || each.actionHash === actionHash) && (invocationId === "" || each.invocationId === invocationId) && (stages.length === 0 || stages.includes(each.stage)))
        .sort((a, b) => Number((b.queuedAt?.seconds ?? 0n) - (a.queuedAt?.seconds ?? 0n)));
      const from = Number(pageToken);
      const to = from + (pageSize === 0 ? 50 : pageSize);
      return { executions: all.slice(from, to), nextPageToken: to < all.length ? String(to) : "" };
    },
    getExecution: ({ id }) => ({ execution: fake.find(id) }),
    watchExecution: ({ id }, { signal }) => fake.watch(signal, () => ({ message: { execution: fake.find(id) }, last: fake.find(id).stage === ExecutionStage.DONE })),
    cancelExecution: ({ id }) => {
      fake.asked.push(`cancel ${id}`);
      return { execution: fake.change(fake.find(id), { stage: ExecutionStage.DONE, statusCode: Code.Canceled, message: "cancelled by an administrator", finishedAt: timestampFromMs(Date.now()) }) };
    },
    moveExecution: ({ id, platform }) => {
      fake.asked.push(`move ${id} ${platform}`);
      return { execution: fake.change(fake.find(id), { platform }) };
    },
    reprioritizeExecution: ({ id, priority }) => {
      fake.asked.push(`priority ${id} ${priority}`);
      return { execution: fake.change(fake.find(id), { priority }) };
    },
  });
  router.service(Operations, {
    getOperation: ({ name }) => {
      const response = fake.responses.get(name);
      if (response === undefined) throw new ConnectError(`operation ${name} not found`, Code.NotFound);
      return create(OperationSchema, { name, done: true, result: { case: "response", value: anyPack(ExecuteResponseSchema, create(ExecuteResponseSchema, response)) } });
    },
  });
  router.service(InvocationService, {
    listInvocations: ({ text, statuses }) => ({
      invocations: [...fake.invocations.values()]
        .filter((each) => (statuses.length === 0 || statuses.includes(each.status)) && [each.id, each.command, ...each.patterns, each.user, each.host].join(" ").toLowerCase().includes(text.toLowerCase()))
        .sort((a, b) => Number((b.startedAt?.seconds ?? 0n) - (a.startedAt?.seconds ?? 0n))),
    }),
    getInvocation: ({ id }) => ({ invocation: fake.findInvocation(id) }),
    watchInvocation: ({ id }, { signal }) => fake.watch(signal, () => ({ message: { invocation: fake.findInvocation(id) }, last: fake.findInvocation(id).complete })),
    listInvocationTargets: ({ id, statuses, text, testsOnly, pageSize, pageToken }) => {
      const all = (fake.targets.get(id) ?? []).filter((each) => (statuses.length === 0 || statuses.includes(each.status)) && each.label.includes(text) && (!testsOnly || each.test !== undefined));
      const from = Number(pageToken);
      const to = from + (pageSize === 0 ? 100 : pageSize);
      return { targets: all.slice(from, to), nextPageToken: to < all.length ? String(to) : "", total: BigInt(all.length) };
    },
  });
}
