// What the states of runs, jobs and steps mean to a page.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { State } from "@/gen/millrace/v1/pipeline_pb";

export { State };

/** Names as they stand in links. */
export const STATE_BY_NAME = {
  pending: State.PENDING,
  held: State.HELD,
  queued: State.QUEUED,
  running: State.RUNNING,
  success: State.SUCCESS,
  failure: State.FAILURE,
  cancelled: State.CANCELLED,
  skipped: State.SKIPPED,
} as const;

export type StateName = keyof typeof STATE_BY_NAME;

export const STATE_NAMES = Object.keys(STATE_BY_NAME) as StateName[];

export function isFinal(state: State): boolean {
  return state >= State.SUCCESS;
}

/** The worst of some states: what a group of jobs shows. */
export function worst(states: readonly State[]): State {
  const order = [State.RUNNING, State.FAILURE, State.HELD, State.QUEUED, State.PENDING, State.CANCELLED, State.SUCCESS, State.SKIPPED];
  return order.find((state) => states.includes(state)) ?? State.UNSPECIFIED;
}

/** Unix milliseconds, or undefined. */
export function millis(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : Number(time.seconds) * 1000 + Math.floor(time.nanos / 1_000_000);
}
