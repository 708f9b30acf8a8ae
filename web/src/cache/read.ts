// Reading from the cache: blobs whole or their beginning, messages, action results. By REAPI where the size is known, by
// plain HTTP where only a hash is. What is not there is an answer, not an error.
import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { queryOptions, useQuery, type Query } from "@tanstack/react-query";
import { isNotFound, transport } from "@/api/transport";
import { ActionCache, Compressor_Value, ContentAddressableStorage, DirectorySchema, RequestMetadataSchema, type ActionResult, type Directory } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { ByteStream } from "@/gen/google/bytestream/bytestream_pb";
import { casPath, resourceName, sibling, wireDigest, wireFunction, type BlobRef } from "./digest";

/** Put in by the build. */
declare const __VERSION__: string;

/** What a batch may hold with room to spare: clients and servers take messages of 4 MiB. */
const BATCH_MAX_BYTES = 2 * 1024 * 1024;
/** A message larger than that is not looked into. */
export const MESSAGE_MAX_BYTES = 32 * 1024 * 1024;
export const PREVIEW_MAX_BYTES = 64 * 1024;
/** Action results change, and blobs come and go; what was read stays right. */
const MISSING_STALE_MS = 5_000;

/** A blob, or its beginning. */
export type Read = { here: true; bytes: Uint8Array; size: bigint } | { here: false };

/** A message of the CAS: it may be missing, and the bytes may be something else. */
export type Message<T> = { state: "here"; message: T; size: bigint } | { state: "missing" } | { state: "other"; why: string };

const cas = createClient(ContentAddressableStorage, transport);
const actions = createClient(ActionCache, transport);
const bytes = createClient(ByteStream, transport);

/** Says who asks, as build tools do: so that a look at a page can be told from a build. */
const HEADERS = { "build.bazel.remote.execution.v2.requestmetadata-bin": base64Encode(toBinary(RequestMetadataSchema, create(RequestMetadataSchema, { toolDetails: { toolName: "millrace-web", toolVersion: __VERSION__ } }))) };

/** The first bytes of a blob, at most `maxBytes`. */
export function useBlob(blob: BlobRef | undefined, maxBytes: number) {
  return useQuery(blobQuery(blob, maxBytes));
}

/** A message, decoded. */
export function useMessage<D extends DescMessage>(schema: D, blob: BlobRef | undefined) {
  return useQuery({ ...blobQuery(blob, MESSAGE_MAX_BYTES), select: (read) => decode(schema, read) });
}

/** An action's result; null: the cache has none. */
export function useActionResult(action: BlobRef | undefined) {
  return useQuery({
    queryKey: ["action-result", action === undefined ? "" : resourceName(action)],
    enabled: action !== undefined,
    refetchOnWindowFocus: false,
    staleTime: MISSING_STALE_MS,
    queryFn: async ({ signal }): Promise<ActionResult | null> => {
      if (action === undefined) throw new Error("no action");
      try {
        return await actions.getActionResult(actionRequest(action), { signal, headers: HEADERS });
      } catch (error) {
        if (isNotFound(error)) return null;
        throw error;
      }
    },
  });
}

/** The call for an action's result. */
export function actionRequest(action: BlobRef) {
  return { instanceName: action.instance, actionDigest: wireDigest(action), digestFunction: wireFunction(action.fn), inlineStdout: true, inlineStderr: true };
}

/** The call for one blob. */
export function batchRequest(blob: BlobRef) {
  return { instanceName: blob.instance, digests: [wireDigest(blob)], digestFunction: wireFunction(blob.fn), acceptableCompressors: [Compressor_Value.IDENTITY] };
}

export type Walked = { state: "folder"; folder: Directory; at: BlobRef } | { state: "file"; at: BlobRef; executable: boolean } | { state: "missing"; name: string; at: BlobRef } | { state: "nothing"; name: string; near: string } | { state: "other"; why: string };

/** Follows names from a Directory down; each step is one small read. */
export function useWalk(root: BlobRef | undefined, names: readonly string[]) {
  return useQuery({
    queryKey: ["walk", root === undefined ? "" : key(root), names.join("/")],
    enabled: root !== undefined,
    refetchOnWindowFocus: false,
    staleTime: ({ state }: Query<Walked>) => (state.data?.state === "missing" ? MISSING_STALE_MS : Infinity),
    queryFn: ({ signal, client }): Promise<Walked> => {
      if (root === undefined) throw new Error("no root");
      return walk(root, names, async (blob) => decode(DirectorySchema, await client.fetchQuery(blobQuery(blob, MESSAGE_MAX_BYTES))), signal);
    },
  });
}

async function walk(root: BlobRef, names: readonly string[], read: (blob: BlobRef) => Promise<Message<Directory>>, signal: AbortSignal): Promise<Walked> {
  let at = root;
  for (let depth = 0; ; depth += 1) {
    signal.throwIfAborted();
    const found = await read(at);
    if (found.state === "missing") return { state: "missing", name: names[depth - 1] ?? "", at };
    if (found.state === "other") return found;
    const name = names[depth];
    if (name === undefined) return { state: "folder", folder: found.message, at };
    const folder = found.message.directories.find((each) => each.name === name);
    const file = found.message.files.find((each) => each.name === name);
    if (file?.digest !== undefined && depth === names.length - 1) return { state: "file", at: sibling(root, file.digest), executable: file.isExecutable };
    if (folder?.digest === undefined) return { state: "nothing", name, near: names.slice(0, depth).join("/") };
    at = sibling(root, folder.digest);
  }
}

function blobQuery(blob: BlobRef | undefined, maxBytes: number) {
  return queryOptions({
    queryKey: ["blob", blob === undefined ? "" : key(blob), maxBytes],
    enabled: blob !== undefined,
    refetchOnWindowFocus: false,
    staleTime: ({ state }: Query<Read>) => (state.data?.here === false ? MISSING_STALE_MS : Infinity),
    queryFn: ({ signal }): Promise<Read> => {
      if (blob === undefined) throw new Error("no blob");
      return readBlob(blob, maxBytes, signal);
    },
  });
}

function key(blob: BlobRef): string {
  return `${resourceName(blob)} ${blob.fn} ${blob.size === undefined ? "unsized" : ""}`;
}

async function readBlob(blob: BlobRef, maxBytes: number, signal: AbortSignal): Promise<Read> {
  try {
    if (blob.size === undefined) return await readByHash(blob, maxBytes, signal);
    if (blob.size <= BigInt(Math.min(maxBytes, BATCH_MAX_BYTES))) return await readInBatch(blob, signal);
    return { here: true, bytes: await readStream(blob, maxBytes, signal), size: blob.size };
  } catch (error) {
    if (isNotFound(error)) return { here: false };
    throw error;
  }
}

async function readInBatch(blob: BlobRef, signal: AbortSignal): Promise<Read> {
  const { responses } = await cas.batchReadBlobs(batchRequest(blob), { signal, headers: HEADERS });
  const answer = responses[0];
  const code: number = answer?.status?.code ?? 0;
  if (answer === undefined || code === (Code.NotFound as number)) return { here: false };
  if (code !== 0) throw new ConnectError(answer.status?.message ?? "", code);
  return { here: true, bytes: answer.data, size: BigInt(answer.data.length) };
}

async function readStream(blob: BlobRef, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const { data } of bytes.read({ resourceName: resourceName(blob), readLimit: BigInt(maxBytes) }, { signal, headers: HEADERS })) parts.push(data);
  return join(parts);
}

/** Only plain HTTP finds a blob by its hash alone. A range says how large the whole is, and comes uncompressed. */
async function readByHash(blob: BlobRef, maxBytes: number, signal: AbortSignal): Promise<Read> {
  const answer = await fetch(casPath(blob), { signal, headers: { range: `bytes=0-${maxBytes - 1}` } });
  if (answer.status === 404) return { here: false };
  if (answer.status === 416) return { here: true, bytes: new Uint8Array(), size: 0n };
  if (!answer.ok) throw new Error((await answer.text()).trim() || `The server answered ${answer.status}.`);
  const content = new Uint8Array(await answer.arrayBuffer());
  const whole = /\/(\d+)$/.exec(answer.headers.get("content-range") ?? "")?.[1];
  return { here: true, bytes: content.subarray(0, maxBytes), size: whole === undefined ? BigInt(content.length) : BigInt(whole) };
}

function decode<D extends DescMessage>(schema: D, read: Read): Message<MessageShape<D>> {
  if (!read.here) return { state: "missing" };
  if (read.size > BigInt(read.bytes.length)) return { state: "other", why: `it has ${read.size} bytes, more than a page can take` };
  try {
    const message = fromBinary(schema, read.bytes);
    // Nothing but fields that the schema does not know: these bytes are another thing.
    if (message.$unknown !== undefined && message.$unknown.length > 0 && toBinary(schema, message, { writeUnknownFields: false }).length === 0) return { state: "other", why: `its bytes are no ${schema.name}` };
    return { state: "here", message, size: read.size };
  } catch {
    return { state: "other", why: `its bytes are no ${schema.name}` };
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
