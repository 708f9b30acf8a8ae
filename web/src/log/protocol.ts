// What the page and its log worker say to each other. Types only.
import type { Connection, Mark } from "./follow";
import type { LineRange } from "./blocks";
import type { Row } from "./row";
import type { HitChunk } from "./hits";

/** Where a view begins. */
export type Opening = { at: "tail" } | { at: "line"; line: number } | { at: "firstError" };

export type ToWorker =
  /** Show this log from now on; whatever was before is forgotten. */
  | { type: "open"; session: number; logId: string; live: boolean; opening: Opening }
  /** These lines are (nearly) on the screen; and the last `tail` lines, when it follows. */
  | { type: "view"; session: number; ranges: LineRange[]; tail: number }
  /** The last update was drawn; the next may come. */
  | { type: "ack"; session: number }
  /** The text of lines, for the clipboard. */
  | { type: "text"; session: number; request: number; from: number; to: number }
  /** Look for this from now on; without a query: stop looking. */
  | { type: "search"; session: number; search: number; query: Query | undefined }
  | { type: "close" };

/** What is looked for. */
export interface Query {
  text: string;
  regex: boolean;
  caseSensitive: boolean;
}

/** What changed since the last update. */
export interface Update {
  type: "update";
  session: number;
  /** How many lines there are. */
  lines: number;
  sizeBytes: number;
  complete: boolean;
  /** Size and marks are known: the log was seen once. */
  known: boolean;
  connection: Connection;
  /** What went wrong, for people. */
  message: string;
  rows: Row[];
  /** Marks that were not in an update before. */
  marks: Mark[];
  marksTruncated: boolean;
  /** The server has no log of this id: what it says about that. */
  missing: string | undefined;
  /** The lines before this one, and so many bytes, are gone. */
  removed: Removed;
  /** What the lines at hand take. */
  cacheBytes: number;
}

/** What retention took from the beginning of a log. */
export interface Removed {
  lines: number;
  bytes: number;
  reason: string;
}

/** How far a search has come. */
export interface SearchProgress {
  /** "watching": all was searched, and what comes is searched as it comes. "waiting": the connection was lost. */
  state: "searching" | "watching" | "done" | "waiting" | "failed";
  message: string;
  linesSearched: number;
  linesTotal: number;
  matchingLines: number;
  matches: number;
  truncated: boolean;
}

/** What a search found since the last message of its. */
export interface Found {
  type: "found";
  session: number;
  search: number;
  /** It begins anew: what came before no longer counts. */
  fresh: boolean;
  hits: HitChunk;
  progress: SearchProgress;
}

export type FromWorker = Update | Found | { type: "text"; session: number; request: number; text: string; truncated: boolean } | { type: "unauthenticated" };
