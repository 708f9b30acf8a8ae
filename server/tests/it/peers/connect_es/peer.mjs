// connect-es against a server: the same calls over each of its transports. Arguments: the server's URL, the instance.
// Beside this file have to be `gen` (protoc-gen-es of our .proto files) and `node_modules`. Prints a line for each
// transport; any surprise is an exception.
import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import * as node from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";

import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
  DigestFunction_Value,
} from "./gen/build/bazel/remote/execution/v2/remote_execution_pb.js";
import { ByteStream } from "./gen/google/bytestream/bytestream_pb.js";

const [baseUrl, instanceName] = process.argv.slice(2);
const LARGE_BYTES = 5_000_001;
const MESSAGE_BYTES = 1 << 20;

// Whether a transport can send a stream of requests: what browsers have (fetch) can't.
const transports = {
  "gRPC": [node.createGrpcTransport({ baseUrl }), true],
  "Connect, HTTP/1.1, binary": [node.createConnectTransport({ baseUrl, httpVersion: "1.1" }), true],
  "Connect, HTTP/1.1, JSON": [node.createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }), true],
  "Connect, HTTP/1.1, GET": [node.createConnectTransport({ baseUrl, httpVersion: "1.1", useHttpGet: true }), true],
  "Connect, HTTP/2": [node.createConnectTransport({ baseUrl, httpVersion: "2" }), true],
  "gRPC-Web, HTTP/1.1": [node.createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }), true],
  "gRPC-Web, HTTP/2": [node.createGrpcWebTransport({ baseUrl, httpVersion: "2" }), true],
  "Connect, fetch": [web.createConnectTransport({ baseUrl, useBinaryFormat: true }), false],
  "Connect, fetch, JSON": [web.createConnectTransport({ baseUrl }), false],
  "gRPC-Web, fetch": [web.createGrpcWebTransport({ baseUrl }), false],
};

const EMPTY = digest(Buffer.alloc(0));

function digest(data) {
  return { hash: createHash("sha256").update(data).digest("hex"), sizeBytes: BigInt(data.length) };
}

function name(digest, compressed = "blobs") {
  return `${compressed}/${digest.hash}/${digest.sizeBytes}`;
}

function hashes(digests) {
  return digests.map((digest) => digest.hash).sort();
}

async function refused(code, call) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(Code[error.code], Code[code], error.message);
    return true;
  });
}

async function collected(stream) {
  const pieces = [];
  for await (const message of stream) {
    pieces.push(message.data);
  }
  return Buffer.concat(pieces);
}

async function* upload(blob) {
  const resourceName = `${instanceName}/uploads/${randomUUID()}/${name(digest(blob))}`;
  for (let at = 0; at < blob.length; at += MESSAGE_BYTES) {
    const data = blob.subarray(at, at + MESSAGE_BYTES);
    const finishWrite = at + data.length === blob.length;
    yield { resourceName: at === 0 ? resourceName : "", writeOffset: BigInt(at), data, finishWrite };
  }
}

async function capabilities(transport) {
  const answer = await createClient(Capabilities, transport).getCapabilities({ instanceName });
  assert.ok(answer.cacheCapabilities.digestFunctions.includes(DigestFunction_Value.SHA256));
  assert.equal(answer.cacheCapabilities.actionCacheUpdateCapabilities.updateEnabled, true);
  assert.equal(answer.highApiVersion.major, 2);
}

async function blobs(transport) {
  const cas = createClient(ContentAddressableStorage, transport);
  const [one, two, absent] = [randomBytes(10), randomBytes(300_000), randomBytes(20)];
  const all = [one, two, absent].map(digest);
  let missing = await cas.findMissingBlobs({ instanceName, blobDigests: [...all, EMPTY, all[0]] });
  assert.deepEqual(hashes(missing.missingBlobDigests), hashes(all));
  const lie = { digest: all[2], data: randomBytes(20) };
  const update = await cas.batchUpdateBlobs({
    instanceName,
    requests: [{ digest: all[0], data: one }, { digest: all[1], data: two }, lie],
  });
  const stored = new Map(update.responses.map(({ digest, status }) => [digest.hash, status?.code ?? 0]));
  assert.deepEqual(all.map(({ hash }) => stored.get(hash)), [0, 0, Code.InvalidArgument]);
  missing = await cas.findMissingBlobs({ instanceName, blobDigests: all });
  assert.deepEqual(hashes(missing.missingBlobDigests), [all[2].hash]);
  const read = await cas.batchReadBlobs({ instanceName, digests: [...all, EMPTY] });
  const got = new Map(read.responses.map((one) => [one.digest.hash, one]));
  assert.deepEqual(Buffer.from(got.get(all[0].hash).data), one);
  assert.deepEqual(Buffer.from(got.get(all[1].hash).data), two);
  assert.equal(got.get(all[2].hash).status.code, Code.NotFound);
  assert.equal(got.get(EMPTY.hash).status?.code ?? 0, 0);
}

async function streams(transport, sendsStreams) {
  const bytes = createClient(ByteStream, transport);
  const large = randomBytes(LARGE_BYTES);
  const resourceName = `${instanceName}/${name(digest(large))}`;
  await refused(Code.NotFound, () => collected(bytes.read({ resourceName })));
  // What can't send a stream reads what another one sent.
  const sender = sendsStreams ? bytes : createClient(ByteStream, transports.gRPC[0]);
  const { committedSize } = await sender.write(upload(large));
  assert.equal(committedSize, BigInt(LARGE_BYTES));
  assert.ok((await collected(bytes.read({ resourceName }))).equals(large));
  const part = await collected(bytes.read({ resourceName, readOffset: 4_000_000n, readLimit: 500_000n }));
  assert.ok(part.equals(large.subarray(4_000_000, 4_500_000)));
  await refused(Code.OutOfRange, () => collected(bytes.read({ resourceName, readOffset: BigInt(LARGE_BYTES + 1) })));
  await refused(Code.InvalidArgument, () => collected(bytes.read({ resourceName: "nonsense" })));
}

async function actions(transport) {
  const cache = createClient(ActionCache, transport);
  const actionDigest = digest(randomBytes(30));
  await refused(Code.NotFound, () => cache.getActionResult({ instanceName, actionDigest }));
  await cache.updateActionResult({ instanceName, actionDigest, actionResult: { exitCode: 3, stdoutRaw: Buffer.from("said") } });
  const result = await cache.getActionResult({ instanceName, actionDigest });
  assert.equal(result.exitCode, 3);
  assert.equal(Buffer.from(result.stdoutRaw).toString(), "said");
  assert.ok(result.executionMetadata);
}

for (const [what, [transport, sendsStreams]] of Object.entries(transports)) {
  try {
    await capabilities(transport);
    await blobs(transport);
    await streams(transport, sendsStreams);
    await actions(transport);
  } catch (error) {
    console.error(`over ${what}:`);
    throw error;
  }
  console.log(`good: ${what}`);
}
// The transports over HTTP/2 keep their connections, and so Node would not end for a while.
process.exit(0);
