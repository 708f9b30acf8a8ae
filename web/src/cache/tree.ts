// A Tree message as folders that can be unfolded. The children of a Tree are named by their digests, so each is hashed
// here, as the bytes it came in: encoding it anew might give others. Knows no page and fetches nothing.
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { blake3 } from "@noble/hashes/blake3.js";
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { DirectorySchema, type Digest, type Directory } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import type { FunctionName } from "./digest";

const HASHERS: Record<FunctionName, (bytes: Uint8Array) => Uint8Array> = { sha256, sha1, md5, sha384, sha512, blake3 };

/** Deeper than that nothing is unfolded: a Tree that was made up could name itself. */
const DEPTH_MAX = 100;

export interface Folders {
  root: Directory;
  /** By hash. */
  children: ReadonlyMap<string, Directory>;
}

/** Reads a Tree. Throws when the bytes are none. */
export function readTree(bytes: Uint8Array, fn: FunctionName): Folders {
  const reader = new BinaryReader(bytes);
  let root: Directory | undefined;
  const children = new Map<string, Directory>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if ((field === 1 || field === 2) && type === WireType.LengthDelimited) {
      const raw = reader.bytes();
      const folder = fromBinary(DirectorySchema, raw);
      if (field === 1) root = folder;
      else children.set(bytesToHex(HASHERS[fn](raw)), folder);
    } else reader.skip(type, field);
  }
  if (root === undefined) throw new Error("a Tree without a root");
  return { root, children };
}

export type Row = { path: string; name: string; depth: number } & (
  | { kind: "folder"; open: boolean; missing: boolean; digest: Digest | undefined; entries: number }
  | { kind: "file"; digest: Digest | undefined; executable: boolean }
  | { kind: "symlink"; target: string }
);

/** The rows that are to be seen when these paths are unfolded: folders first, then files, then links, as in the message. */
export function flatten(folders: Folders, open: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const add = (folder: Directory, prefix: string, depth: number) => {
    for (const each of folder.directories) {
      const path = `${prefix}${each.name}`;
      const child = folders.children.get(each.digest?.hash ?? "");
      const isOpen = open.has(path) && child !== undefined && depth < DEPTH_MAX;
      rows.push({ kind: "folder", path, name: each.name, depth, open: isOpen, missing: child === undefined, digest: each.digest, entries: child === undefined ? 0 : entryCount(child) });
      if (isOpen) add(child, `${path}/`, depth + 1);
    }
    for (const each of folder.files) rows.push({ kind: "file", path: `${prefix}${each.name}`, name: each.name, depth, digest: each.digest, executable: each.isExecutable });
    for (const each of folder.symlinks) rows.push({ kind: "symlink", path: `${prefix}${each.name}`, name: each.name, depth, target: each.target });
  };
  add(folders.root, "", 0);
  return rows;
}

export function entryCount(folder: Directory): number {
  return folder.directories.length + folder.files.length + folder.symlinks.length;
}
