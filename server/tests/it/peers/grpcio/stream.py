"""Streams large blobs to a server and back over grpcio, with the stubs that BuildGrid ships.

Arguments: what to do (see the functions below), the server's address, the instance. The blobs are made on the fly from
a counter: no two messages are the same, and nothing is kept in memory or on disk. Prints one line of figures; any
surprise is an exception.
"""

import hashlib
import random
import sys
import time
import uuid

import grpc
import zstandard

from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2_grpc as reapi_grpc
from buildgrid._protos.google.bytestream import bytestream_pb2 as bytestream
from buildgrid._protos.google.bytestream import bytestream_pb2_grpc as bytestream_grpc

MESSAGE_BYTES = 1 << 20
LARGE_BYTES = (1 << 30) + 12_345
COMPRESSED_BYTES = (64 << 20) + 77
NOISE = random.Random(20).randbytes(MESSAGE_BYTES)
# Compresses to a quarter: what a build makes, roughly.
TEXT = NOISE[: MESSAGE_BYTES // 4] + bytes(MESSAGE_BYTES - MESSAGE_BYTES // 4)


def blob(size, block):
    """The blob in pieces: the block, each time with another beginning."""
    for number, start in enumerate(range(0, size, MESSAGE_BYTES)):
        piece = number.to_bytes(8, "little") + block[8:]
        yield piece[: min(MESSAGE_BYTES, size - start)]


def digest(pieces):
    """Hash and size of a blob."""
    hasher, size = hashlib.sha256(), 0
    for piece in pieces:
        hasher.update(piece)
        size += len(piece)
    return reapi.Digest(hash=hasher.hexdigest(), size_bytes=size)


def writes(name, pieces):
    """The messages of one upload. Only the first has the name, the last has finish_write and nothing else."""
    offset = 0
    for piece in pieces:
        yield bytestream.WriteRequest(resource_name=name if offset == 0 else "", write_offset=offset, data=piece)
        offset += len(piece)
    yield bytestream.WriteRequest(write_offset=offset, finish_write=True)


def compressed(pieces):
    """One zstd frame without a content size, in pieces."""
    compressor = zstandard.ZstdCompressor(level=1, write_content_size=False).compressobj()
    for piece in pieces:
        out = compressor.compress(piece)
        if out:
            yield out
    yield compressor.flush()


class Peer:
    """A channel to one instance of one server."""

    def __init__(self, address, instance):
        options = [("grpc.max_receive_message_length", 16 << 20)]
        channel = grpc.insecure_channel(address, options=options)
        self.instance = instance
        self.prefix = f"{instance}/" if instance else ""
        self.bytes = bytestream_grpc.ByteStreamStub(channel)
        self.cas = reapi_grpc.ContentAddressableStorageStub(channel)

    def missing(self, wanted):
        request = reapi.FindMissingBlobsRequest(instance_name=self.instance, blob_digests=[wanted])
        return len(self.cas.FindMissingBlobs(request).missing_blob_digests) == 1

    def read(self, name):
        for message in self.bytes.Read(bytestream.ReadRequest(resource_name=name)):
            yield message.data


def expect(what, got, wanted):
    if got != wanted:
        raise SystemExit(f"{what}: {got!r} instead of {wanted!r}")


def large(peer):
    """One blob of a gibibyte and a bit, up and down again."""
    wanted = digest(blob(LARGE_BYTES, NOISE))
    path = f"blobs/{wanted.hash}/{wanted.size_bytes}"
    name = f"{peer.prefix}uploads/{uuid.uuid4()}/{path}"
    expect("missing before", peer.missing(wanted), True)
    begun = time.monotonic()
    answer = peer.bytes.Write(writes(name, blob(LARGE_BYTES, NOISE)))
    written = time.monotonic()
    expect("committed_size", answer.committed_size, LARGE_BYTES)
    status = peer.bytes.QueryWriteStatus(bytestream.QueryWriteStatusRequest(resource_name=name))
    expect("status", (status.committed_size, status.complete), (LARGE_BYTES, True))
    expect("missing after", peer.missing(wanted), False)
    # Sent again it ends early, with the whole size.
    again = peer.bytes.Write(writes(name, blob(LARGE_BYTES, NOISE)))
    expect("committed_size of what is there", again.committed_size, LARGE_BYTES)
    reread = time.monotonic()
    expect("what came back", digest(peer.read(peer.prefix + path)), wanted)
    done = time.monotonic()
    mebibytes = LARGE_BYTES / (1 << 20)
    print(f"write {mebibytes / (written - begun):.0f} MiB/s, read {mebibytes / (done - reread):.0f} MiB/s")


def zstd(peer):
    """A compressed upload, read back plain and compressed; and what was uploaded plain, read compressed."""
    plain = digest(blob(COMPRESSED_BYTES, TEXT))
    path = f"{plain.hash}/{plain.size_bytes}"
    name = f"{peer.prefix}uploads/{uuid.uuid4()}/compressed-blobs/zstd/{path}"
    sent = sum(len(piece) for piece in compressed(blob(COMPRESSED_BYTES, TEXT)))
    answer = peer.bytes.Write(writes(name, compressed(blob(COMPRESSED_BYTES, TEXT))))
    if answer.committed_size not in (sent, COMPRESSED_BYTES, -1):
        raise SystemExit(f"committed_size {answer.committed_size}: neither {sent}, {COMPRESSED_BYTES} nor -1")
    again = peer.bytes.Write(writes(name, compressed(blob(COMPRESSED_BYTES, TEXT))))
    expect("committed_size of what is there", again.committed_size, -1)
    expect("read plain", digest(peer.read(f"{peer.prefix}blobs/{path}")), plain)
    received = 0

    def unpacked(name):
        nonlocal received
        unpacker = zstandard.ZstdDecompressor()
        frame = unpacker.decompressobj()
        for piece in peer.read(name):
            received += len(piece)
            while piece:
                yield frame.decompress(piece)
                # The next frame, if there is one.
                piece = frame.unused_data
                if frame.eof:
                    frame = unpacker.decompressobj()

    expect("read compressed", digest(unpacked(f"{peer.prefix}compressed-blobs/zstd/{path}")), plain)
    if received > COMPRESSED_BYTES // 2:
        raise SystemExit(f"{received} bytes came for {COMPRESSED_BYTES} that compress to {sent}")

    data = b"".join(blob(300_000, TEXT))
    small = digest([data])
    update = reapi.BatchUpdateBlobsRequest(instance_name=peer.instance)
    packed = zstandard.ZstdCompressor().compress(data)
    update.requests.add(digest=small, data=packed, compressor=reapi.Compressor.ZSTD)
    expect("batch update", [one.status.code for one in peer.cas.BatchUpdateBlobs(update).responses], [0])
    for accepted in ([], [reapi.Compressor.ZSTD]):
        request = reapi.BatchReadBlobsRequest(instance_name=peer.instance, acceptable_compressors=accepted)
        request.digests.append(small)
        [one] = peer.cas.BatchReadBlobs(request).responses
        if one.compressor == reapi.Compressor.ZSTD and accepted:
            got = zstandard.ZstdDecompressor().decompress(one.data, max_output_size=len(data))
        else:
            expect("compressor", one.compressor, reapi.Compressor.IDENTITY)
            got = one.data
        expect("batch read", digest([got]), small)
    print(f"sent {sent} bytes for {COMPRESSED_BYTES}, committed_size {answer.committed_size}, received {received}")


if __name__ == "__main__":
    {"large": large, "zstd": zstd}[sys.argv[1]](Peer(sys.argv[2], sys.argv[3]))
