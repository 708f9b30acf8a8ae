// What the page and its log worker say to each other. Types only.
import type { Connection, Mark } from "./follow";
import type { LineRange } from "./blocks";
import type { Row } from "./row";

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
  | { type: "close" };

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
  /** Lines that the server no longer has. */
  gaps: (LineRange & { reason: string })[];
  /** What the lines at hand take. */
  cacheBytes: number;
}

export type FromWorker = Update | { type: "text"; session: number; request: number; text: string; truncated: boolean } | { type: "unauthenticated" };
