// Names of blobs: digests, resource names and paths, read from what people paste and written for the server. Strings and
// numbers only; nothing is fetched here.
import type { Digest } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { DigestFunction_Value as Fn } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";

/** Digest functions by the names they have in resource names. */
const FUNCTIONS = {
  sha256: { wire: Fn.SHA256, hexLength: 64 },
  sha1: { wire: Fn.SHA1, hexLength: 40 },
  md5: { wire: Fn.MD5, hexLength: 32 },
  sha384: { wire: Fn.SHA384, hexLength: 96 },
  sha512: { wire: Fn.SHA512, hexLength: 128 },
  blake3: { wire: Fn.BLAKE3, hexLength: 64 },
} as const;

export type FunctionName = keyof typeof FUNCTIONS;

const FUNCTION_NAMES = Object.keys(FUNCTIONS) as FunctionName[];

/** A blob of an instance. The size is missing where only a hash was said, as over HTTP. */
export interface BlobRef {
  instance: string;
  fn: FunctionName;
  hash: string;
  size?: bigint | undefined;
}

export type Parsed = { ok: true; blob: BlobRef; named: { instance: boolean; fn: boolean } } | { ok: false; problem: string };

/**
 * Reads `hash`, `hash/size`, `hash:size`, `[instance/]blobs/[blake3/]hash/size`, the same with `bytestream://host/`,
 * compressed and upload names, `/cas/hash`, `/ac/hash`. `instance` holds when the text names none.
 */
export function parseBlobName(text: string, instance: string): Parsed {
  const bare = text.trim().replace(/^["'`]+|["'`,;]+$/g, "");
  if (bare === "") return no("Paste a digest, such as hash/size.");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/]*\/?(.*)$/i.exec(bare);
  const path = (scheme?.[2] ?? bare).replace(/[?#].*$/, "").replace(/^\/+|\/+$/g, "");
  const segments = path.split("/");
  const at = segments.findIndex((segment) => ["blobs", "compressed-blobs", "uploads", "cas", "ac"].includes(segment));
  if (at === -1) {
    if (scheme !== null) return no("The address holds no blobs/…, cas/… or ac/… part.");
    return digest(path.replace(":", "/").split("/"), instance, false);
  }
  const http = segments[at] === "cas" || segments[at] === "ac";
  const before = segments.slice(0, at).join("/");
  let rest = segments.slice(at + 1);
  if (segments[at] === "uploads") rest = rest[1] === "blobs" ? rest.slice(2) : rest[1] === "compressed-blobs" ? rest.slice(3) : [];
  else if (segments[at] === "compressed-blobs") rest = rest.slice(1);
  const named = http || scheme !== null || before !== "";
  return digest(rest, named ? decode(before) : instance, named);
}

function digest(parts: string[], instance: string, named: boolean): Parsed {
  const fn = FUNCTION_NAMES.find((name) => name === parts[0]?.toLowerCase());
  const [rawHash = "", size, ...more] = fn === undefined ? parts : parts.slice(1);
  const hash = rawHash.toLowerCase();
  if (hash === "") return no("There is no hash in it.");
  if (!/^[0-9a-f]+$/.test(hash)) return no(`${shorten(rawHash)} is no hash: a hash has the digits 0 to 9 and a to f only.`);
  const wanted = fn ?? inferFunction(hash);
  if (wanted === undefined) return no(`No digest function has hashes of ${hash.length} digits; SHA-256 and BLAKE3 have 64.`);
  if (FUNCTIONS[wanted].hexLength !== hash.length) return no(`A ${wanted} hash has ${FUNCTIONS[wanted].hexLength} digits, this one has ${hash.length}.`);
  if (size !== undefined && !/^\d{1,19}$/.test(size)) return no(`${shorten(size)} is no size in bytes.`);
  if (more.length > 0 && size === undefined) return no("There is more behind the hash than a size.");
  return { ok: true, blob: { instance, fn: wanted, hash, ...(size === undefined ? {} : { size: BigInt(size) }) }, named: { instance: named, fn: fn !== undefined } };
}

/** What the length of a hash tells; BLAKE3 must be named, for it is as long as SHA-256. */
export function inferFunction(hash: string): FunctionName | undefined {
  return FUNCTION_NAMES.find((name) => FUNCTIONS[name].hexLength === hash.length && name !== "blake3");
}

export function functionNamed(name: string | undefined): FunctionName | undefined {
  return FUNCTION_NAMES.find((each) => each === name?.toLowerCase());
}

export function wireFunction(fn: FunctionName): Fn {
  return FUNCTIONS[fn].wire;
}

/** Another blob of the same instance and function. */
export function sibling(of: BlobRef, digest: Digest): BlobRef {
  return { instance: of.instance, fn: of.fn, hash: digest.hash, size: digest.sizeBytes };
}

/** The digest as a message; 0 where the size is not known. */
export function wireDigest(blob: BlobRef): { hash: string; sizeBytes: bigint } {
  return { hash: blob.hash, sizeBytes: blob.size ?? 0n };
}

/** "a/b/blobs/blake3/hash/size", as ByteStream has it. */
export function resourceName(blob: BlobRef): string {
  const start = blob.instance === "" ? "" : `${blob.instance}/`;
  return `${start}blobs/${blob.fn === "blake3" ? "blake3/" : ""}${blob.hash}/${blob.size ?? 0n}`;
}

/** "/a/b/cas/hash": the plain download. */
export function casPath(blob: BlobRef): string {
  return `${instancePath(blob.instance)}/cas/${blob.fn === "blake3" ? "blake3/" : ""}${blob.hash}`;
}

/** "/a/b%20c", or nothing for the instance without a name. */
export function instancePath(instance: string): string {
  return instance === "" ? "" : `/${instance.split("/").map(encodeURIComponent).join("/")}`;
}

/** "hash/size", or the hash alone; as people paste it. */
export function digestText(blob: BlobRef): string {
  return `${blob.fn === "blake3" ? "blake3/" : ""}${blob.hash}${blob.size === undefined ? "" : `/${blob.size}`}`;
}

/** What a link to a blob's or action's page says beside the hash. Only what can't be guessed. */
export function linkSearch(blob: BlobRef): { size?: string; instance?: string; fn?: string } {
  return {
    ...(blob.size === undefined ? {} : { size: String(blob.size) }),
    ...(blob.instance === "" ? {} : { instance: blob.instance }),
    ...(inferFunction(blob.hash) === blob.fn ? {} : { fn: blob.fn }),
  };
}

/** The blob that a page's link means. */
export function linkedBlob(hash: string, search: { size?: string | undefined; instance?: string | undefined; fn?: string | undefined }): Parsed {
  const fn = search.fn === undefined ? "" : `${search.fn}/`;
  return digest(`${fn}${hash}${search.size === undefined ? "" : `/${search.size}`}`.split("/"), search.instance ?? "", true);
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function shorten(text: string): string {
  return text.length > 24 ? `${text.slice(0, 20)}…` : text;
}

function no(problem: string): Parsed {
  return { ok: false, problem };
}
