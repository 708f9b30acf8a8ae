import { create, toBinary } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { DirectorySchema, TreeSchema, type Directory } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import type { FunctionName } from "./digest";
import { flatten, readTree } from "./tree";

/** Hashed by the platform, not by what is tested. */
async function digest(folder: Directory, fn: string) {
  const bytes = toBinary(DirectorySchema, folder);
  const hash = new Uint8Array(await crypto.subtle.digest(fn.replace("sha", "SHA-"), bytes));
  return { hash: [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join(""), sizeBytes: BigInt(bytes.length) };
}

async function sample(fn: string) {
  const deep = create(DirectorySchema, { files: [{ name: "x.o", digest: { hash: "aa", sizeBytes: 1n }, isExecutable: true }] });
  const lib = create(DirectorySchema, { directories: [{ name: "deep", digest: await digest(deep, fn) }], symlinks: [{ name: "so", target: "so.1" }] });
  const empty = create(DirectorySchema, {});
  const root = create(DirectorySchema, {
    directories: [
      { name: "empty", digest: await digest(empty, fn) },
      { name: "lib", digest: await digest(lib, fn) },
      { name: "lost", digest: { hash: "00", sizeBytes: 1n } },
    ],
    files: [{ name: "out.txt", digest: { hash: "bb", sizeBytes: 2n } }],
  });
  // Not in the order of the tree: nothing says that it is.
  return toBinary(TreeSchema, create(TreeSchema, { root, children: [lib, empty, deep] }));
}

it.each<FunctionName>(["sha256", "sha1", "sha384", "sha512"])("finds the children of a tree by %s", async (fn) => {
  const folders = readTree(await sample(fn), fn);
  expect(flatten(folders, new Set()).map((row) => row.path)).toEqual(["empty", "lib", "lost", "out.txt"]);
  expect(flatten(folders, new Set(["lib", "lib/deep", "lost"])).map((row) => `${row.depth} ${row.path}`)).toEqual(["0 empty", "0 lib", "1 lib/deep", "2 lib/deep/x.o", "1 lib/so", "0 lost", "0 out.txt"]);
});

it("says which folder is missing, and what the others hold", async () => {
  const [empty, lib, lost] = flatten(readTree(await sample("sha256"), "sha256"), new Set());
  expect(empty).toMatchObject({ kind: "folder", missing: false, entries: 0 });
  expect(lib).toMatchObject({ kind: "folder", missing: false, entries: 2, open: false });
  expect(lost).toMatchObject({ kind: "folder", missing: true, open: false });
});

it("blake3 is hashed, too", () => {
  const child = create(DirectorySchema, {});
  // BLAKE3 of nothing.
  const hash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
  const root = create(DirectorySchema, { directories: [{ name: "a", digest: { hash } }] });
  const folders = readTree(toBinary(TreeSchema, create(TreeSchema, { root, children: [child] })), "blake3");
  expect(flatten(folders, new Set())[0]).toMatchObject({ missing: false });
});

it("bytes that are no tree are refused", () => {
  expect(() => readTree(new Uint8Array([255, 255, 255]), "sha256")).toThrow();
  expect(() => readTree(new Uint8Array(), "sha256")).toThrow("without a root");
});
