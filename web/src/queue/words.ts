// The queue in words: why something waits, and what would help. Sentences only; nothing is drawn here.
import { millis } from "@/api/state";
import type { JobGroup, PlatformQueue, Queue, WaitingGroup } from "@/gen/millrace/v1/queue_pb";
import { propertiesText } from "./mismatch";

/** A queue that moves lets nobody wait so long while a slot is free. */
const TAKEN_SOON_MS = 5_000;
/** So many runners stand in the title of what they offer. */
const TITLE_RUNNERS = 3;

/** "3 actions ask for OSFamily=windows; no runner offers it. The first fails in 7 s." */
export function unmatchedWords(group: WaitingGroup, waitMs: number, now: number): string {
  const many = group.queued !== 1n;
  const missing = (group.mismatches[0]?.properties ?? []).map((each) => `${each.name}=${each.requested}`);
  const what = missing.length > 0 ? missing.join(" and ") : propertiesText(group.properties);
  const offers = group.mismatches.length === 0 ? "no runner that runs actions is registered" : missing.length > 1 ? "no runner offers them all" : "no runner offers it";
  const oldest = millis(group.oldestQueuedAt);
  const left = waitMs - (oldest === undefined ? 0 : Math.max(0, now - oldest));
  const end = left < 1_000 ? "in a moment" : `in ${waitText(left)}`;
  return `${count(group.queued, "action")} ${many ? "ask" : "asks"} for ${what}; ${offers}. ${many ? "The first fails" : "It fails"} ${end}.`;
}

/** Why what waits here waits; undefined: nothing does. */
export function platformWords(platform: PlatformQueue, now: number): string | undefined {
  if (platform.queued === 0n) return undefined;
  const oldest = millis(platform.oldestQueuedAt);
  const waited = oldest === undefined ? undefined : now - oldest;
  const since = waited === undefined ? "" : `; the oldest waits ${waitText(waited)}`;
  const { runners } = platform;
  const wait = `${count(platform.queued, "action")} ${platform.queued === 1n ? "waits" : "wait"}`;
  if (runners.length === 0) return `No runner offers this: ${wait} until one is added${since}.`;
  const online = runners.filter((runner) => runner.online);
  if (online.length === 0) return `${only(runners.length, "runner")} offline: ${wait} until one is back${since}.`;
  const taking = online.filter((runner) => !runner.draining);
  if (taking.length === 0) return `${only(online.length, "runner that is online", "runners that are online")} draining: ${wait} until one is resumed${since}.`;
  const slots = taking.reduce((sum, runner) => sum + slotsTaken(runner).all, 0);
  const busy = taking.reduce((sum, runner) => sum + slotsTaken(runner).busy, 0);
  if (busy >= slots) return `${slots === 1 ? "The only slot is busy" : `All ${slots} slots are busy`}${since}.`;
  if (waited !== undefined && waited > TAKEN_SOON_MS) return `${busy} of ${count(slots, "slot")} ${busy === 1 ? "runs an action" : "run actions"}, jobs of pipelines may have the others${since}.`;
  return `Free slots are taking what waits${since}.`;
}

/** What people call it: its name, or the runners it is there for; the name of an observed one is all that it offers. */
export function platformTitle(platform: Pick<PlatformQueue, "name" | "configured" | "runners">): string {
  const names = platform.runners.map((runner) => runner.name);
  if (platform.configured || names.length === 0) return platform.name;
  return names.length <= TITLE_RUNNERS ? names.join(", ") : `${names.slice(0, TITLE_RUNNERS - 1).join(", ")} and ${names.length - TITLE_RUNNERS + 1} more`;
}

/** Why jobs wait, and for whom. */
export function jobWords(group: JobGroup): string {
  const many = group.queued !== 1n;
  if (group.runners.length === 0) return `No runner serves ${group.labels.length === 1 ? "this label" : "these labels"}: ${many ? "they wait" : "it waits"} until one is added.`;
  return `${group.runners.join(", ")} could run ${many ? "them" : "it"}.`;
}

/** The whole in one sentence. */
export function queueWords(queue: Queue): string {
  const unmatched = queue.unmatched.reduce((sum, group) => sum + group.queued, 0n);
  if (queue.queued === 0n && queue.executing === 0n) return "Nothing waits and nothing runs.";
  if (unmatched > 0n) return `${count(unmatched, "action")} ${unmatched === 1n ? "finds" : "find"} no platform that satisfies ${unmatched === 1n ? "it" : "them"}.`;
  if (queue.queued === 0n) return "Nothing waits: whatever comes is taken at once.";
  return `${count(queue.queued, "action")} ${queue.queued === 1n ? "waits" : "wait"} for a free slot.`;
}

/** Slots of runners that take work, and how many of them run actions. */
export function slotCount(queue: Queue): { busy: number; all: number } {
  const runners = queue.platforms.flatMap((platform) => platform.runners).filter((runner) => runner.online && !runner.draining);
  const taken = runners.map((runner) => slotsTaken(runner));
  return { busy: taken.reduce((sum, each) => sum + each.busy, 0), all: taken.reduce((sum, each) => sum + each.all, 0) };
}

/** What a runner has beyond its slots is fetched ahead: its inputs come while the slots are busy. */
export function slotsTaken({ executing, slots }: { executing: number; slots: number }): { busy: number; all: number; ahead: number } {
  const all = Math.max(1, slots);
  return { busy: Math.min(executing, all), all, ahead: Math.max(0, executing - all) };
}

/** "12 s", "2 min", "3 h". */
export function waitText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

export function count(n: bigint | number, word: string): string {
  return `${n} ${word}${Number(n) === 1 ? "" : "s"}`;
}

function only(n: number, word: string, words = `${word}s`): string {
  return n === 1 ? `The only ${word} is` : n === 2 ? `Both ${words} are` : `All ${n} ${words} are`;
}
