// A remote cache for the stand-in server: blobs in a map, action results, activity that is made up. The REAPI services
// that the pages call, and plain GET /cas/.
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { ActionCache, ActionResultSchema, ContentAddressableStorage, type ActionResult } from "../src/gen/build/bazel/remote/execution/v2/remote_execution_pb.js";
import { ByteStream } from "../src/gen/google/bytestream/bytestream_pb.js";
import { CacheAction_Event, CacheActionSchema, CacheActivitySchema, CacheService, GetCacheResponseSchema, type CacheAction, type CacheActivity } from "../src/gen/millrace/v1/cache_pb.js";

const READ_STEP_BYTES = 16 * 1024;

export interface FakeDigest {
  hash: string;
  sizeBytes: bigint;
}

export class FakeCache {
  /** By instance and hash. */
  readonly blobs = new Map<string, Uint8Array>();
  readonly results = new Map<string, ActionResult>();
  latest: CacheAction[] = [];
  /** What happened in a step of so many seconds, that many steps ago; undefined: nothing. */
  activity: ((ago: number, seconds: number) => Partial<Record<Counter, number>> | undefined) | undefined;
  usage: MessageInitShape<typeof GetCacheResponseSchema> = { limitBytes: 10n * 1024n ** 3n };

  put(content: Uint8Array | string, instance = ""): FakeDigest {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const hash = createHash("sha256").update(bytes).digest("hex");
    this.blobs.set(`${instance} ${hash}`, bytes);
    return { hash, sizeBytes: BigInt(bytes.length) };
  }

  message<D extends DescMessage>(schema: D, init: MessageInitShape<D>, instance = ""): FakeDigest {
    return this.put(toBinary(schema, create(schema, init)), instance);
  }

  result(action: FakeDigest, init: MessageInitShape<typeof ActionResultSchema>, instance = ""): void {
    this.results.set(`${instance} ${action.hash}`, create(ActionResultSchema, init));
  }

  seen(action: FakeDigest, init: MessageInitShape<typeof CacheActionSchema>): void {
    this.latest.push(create(CacheActionSchema, { digestFunction: "sha256", hash: action.hash, sizeBytes: action.sizeBytes, time: timestampFromMs(Date.now()), event: CacheAction_Event.HIT, ...init }));
  }

  find(instance: string, hash: string): Uint8Array {
    const found = this.blobs.get(`${instance} ${hash}`);
    if (found === undefined) throw new ConnectError(`blob ${hash} not found`, Code.NotFound);
    return found;
  }
}

type Counter = Exclude<{ [Name in keyof CacheActivity]: CacheActivity[Name] extends bigint ? Name : never }[keyof CacheActivity], undefined>;

export function cacheRoutes(router: ConnectRouter, cache: FakeCache): void {
  router.service(CacheService, {
    getCache: () => create(GetCacheResponseSchema, { blobs: BigInt(cache.blobs.size), entries: BigInt(cache.results.size), ...cache.usage }),
    listCacheActivity: ({ windowSeconds, steps: wanted }) => {
      const count = wanted === 0 ? 96 : wanted;
      const seconds = Math.max(60, Math.floor(Number(windowSeconds) / count / 60) * 60);
      const last = Math.floor(Date.now() / 1000 / seconds) * seconds;
      const steps = Array.from({ length: count }, (_, index) => {
        const ago = count - 1 - index;
        return counted((last - ago * seconds) * 1000, cache.activity?.(ago, seconds) ?? {});
      });
      const total: Partial<Record<Counter, number>> = {};
      for (const step of steps) for (const [name, value] of Object.entries(step)) if (typeof value === "bigint") total[name as Counter] = (total[name as Counter] ?? 0) + Number(value);
      return { steps, total: counted(0, total) };
    },
    listCacheActions: ({ instance, allInstances }) => ({ actions: cache.latest.filter((action) => allInstances || action.instance === instance) }),
  });
  router.service(ActionCache, {
    getActionResult: ({ instanceName, actionDigest }) => {
      const result = cache.results.get(`${instanceName} ${actionDigest?.hash}`);
      if (result === undefined) throw new ConnectError(`action result ${actionDigest?.hash} not found`, Code.NotFound);
      return result;
    },
  });
  router.service(ContentAddressableStorage, {
    batchReadBlobs: ({ instanceName, digests }) => ({
      responses: digests.map((digest) => {
        const data = cache.blobs.get(`${instanceName} ${digest.hash}`);
        return data === undefined ? { digest, status: { code: Code.NotFound, message: "not found" } } : { digest, data };
      }),
    }),
  });
  router.service(ByteStream, {
    async *read({ resourceName, readOffset, readLimit }) {
      await Promise.resolve();
      const parts = /^(?:(.*)\/)?blobs\/(?:blake3\/)?([0-9a-f]+)\/\d+$/.exec(resourceName);
      const whole = cache.find(parts?.[1] ?? "", parts?.[2] ?? "");
      const end = readLimit === 0n ? whole.length : Math.min(whole.length, Number(readOffset + readLimit));
      for (let at = Number(readOffset); at < end; at += READ_STEP_BYTES) yield { data: whole.subarray(at, Math.min(end, at + READ_STEP_BYTES)) };
    },
  });
}

/** Answers `[/instance]/cas/[blake3/]hash`; false: the path is none of that. */
export function casAnswer(cache: FakeCache, path: string, request: IncomingMessage, response: ServerResponse): boolean {
  const parts = /^(?:\/(.*))?\/cas\/(?:blake3\/)?([0-9a-f]+)$/.exec(path);
  if (parts === null) return false;
  const whole = cache.blobs.get(`${decodeURIComponent(parts[1] ?? "")} ${parts[2]}`);
  const type = { "content-type": "application/octet-stream" };
  const range = /^bytes=0-(\d+)$/.exec(request.headers.range ?? "");
  if (whole === undefined) response.writeHead(404).end("not found\n");
  else if (range === null) response.writeHead(200, type).end(whole);
  else {
    const part = whole.subarray(0, Number(range[1]) + 1);
    response.writeHead(206, { ...type, "content-range": `bytes 0-${part.length - 1}/${whole.length}` }).end(part);
  }
  return true;
}

function counted(ms: number, counts: Partial<Record<Counter, number>>): CacheActivity {
  const big = Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, BigInt(Math.round(value))]));
  return create(CacheActivitySchema, { startTime: timestampFromMs(ms), ...big });
}
