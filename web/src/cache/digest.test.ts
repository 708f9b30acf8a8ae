import { describe, expect, it } from "vitest";
import { casPath, digestText, linkedBlob, linkSearch, parseBlobName, resourceName, type BlobRef } from "./digest";

const HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
const sha = (instance = "", size?: bigint): BlobRef => ({ instance, fn: "sha256", hash: HASH, ...(size === undefined ? {} : { size }) });
const blake = (instance = "", size?: bigint): BlobRef => ({ ...sha(instance, size), fn: "blake3" });

describe("what people paste", () => {
  it.each<[string, BlobRef]>([
    [HASH, sha("here")],
    [` ${HASH}/142 `, sha("here", 142n)],
    [`${HASH}:142`, sha("here", 142n)],
    [`"${HASH.toUpperCase()}/142",`, sha("here", 142n)],
    [`blake3/${HASH}/7`, blake("here", 7n)],
    [SHA1, { instance: "here", fn: "sha1", hash: SHA1 }],
    [`blobs/${HASH}/9007199254740993`, sha("here", 9007199254740993n)],
    [`a/b/blobs/blake3/${HASH}/7`, blake("a/b", 7n)],
    [`bytestream://host:8080/a/b/blobs/${HASH}/7`, sha("a/b", 7n)],
    [`bytestream://host/blobs/${HASH}/7`, sha("", 7n)],
    [`a/compressed-blobs/zstd/blake3/${HASH}/7`, blake("a", 7n)],
    [`a/uploads/2148e1f1/blobs/${HASH}/7/some/name`, sha("a", 7n)],
    [`uploads/2148e1f1/compressed-blobs/zstd/${HASH}/7`, sha("here", 7n)],
    [`http://host:8080/a/b%20c/cas/${HASH}`, sha("a/b c")],
    [`/cas/blake3/${HASH}`, blake("")],
    [`https://host/ac/${HASH}?x=1`, sha("")],
  ])("%s", (text, blob) => {
    const parsed = parseBlobName(text, "here");
    expect(parsed.ok && parsed.blob).toEqual(blob);
  });

  it.each([
    ["", "Paste a digest"],
    ["hello", "is no hash"],
    ["abcdef", "hashes of 6 digits"],
    [`blake3/${SHA1}`, "has 64 digits, this one has 40"],
    [`${HASH}/-3`, "is no size"],
    [`${HASH}/99999999999999999999`, "is no size"],
    ["https://example.com/x", "holds no blobs"],
    ["uploads/x", "no hash"],
    ["blobs", "no hash"],
  ])("%s is refused", (text, problem) => {
    const parsed = parseBlobName(text, "");
    expect(parsed.ok ? "" : parsed.problem).toContain(problem);
  });
});

it("writes names as the server has them", () => {
  expect(resourceName(sha("", 5n))).toBe(`blobs/${HASH}/5`);
  expect(resourceName(blake("a/b", 5n))).toBe(`a/b/blobs/blake3/${HASH}/5`);
  expect(casPath(sha())).toBe(`/cas/${HASH}`);
  expect(casPath(blake("a/b c", 5n))).toBe(`/a/b%20c/cas/blake3/${HASH}`);
  expect(digestText(blake("a", 5n))).toBe(`blake3/${HASH}/5`);
});

it.each([sha(), sha("a/b", 5n), blake("", 0n), { instance: "x", fn: "sha1", hash: SHA1, size: 1n } as const])("a link leads back to %o", (blob) => {
  const parsed = linkedBlob(blob.hash, linkSearch(blob));
  expect(parsed.ok && parsed.blob).toEqual(blob);
});
