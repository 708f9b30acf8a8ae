// What the log view and the page around it say to each other. Types only.
import type { Connection } from "./follow";
import type { FindStatus } from "./find";
import type { FromWorker, Opening, Query, Removed, ToWorker } from "./protocol";
import type { Lines } from "./range";

/** What the toolbar shows. */
export interface ViewStatus {
  lines: number;
  sizeBytes: number;
  complete: boolean;
  known: boolean;
  connection: Connection;
  message: string;
  following: boolean;
  newLines: number;
  errors: number;
  warnings: number;
  groups: number;
  marksTruncated: boolean;
  missing: string | undefined;
  removed: Removed;
  /** How the search stands; undefined: there is none. */
  find: FindStatus | undefined;
  /** Only lines with hits are shown. */
  only: boolean;
}

export interface LogViewHost {
  /** The part of the worker that is used: a test passes its own. */
  worker: { postMessage(message: ToWorker): void; onmessage: ((event: MessageEvent<FromWorker>) => void) | null };
  onStatus(status: ViewStatus): void;
  onLines(lines: Lines | undefined): void;
  onUnauthenticated(): void;
}

export interface OpenLog {
  logId: string;
  live: boolean;
  opening: Opening;
  /** What is looked for from the beginning. */
  query: Query | undefined;
  /** What relative times count from; 0: the first line's time. */
  origin: number;
}
