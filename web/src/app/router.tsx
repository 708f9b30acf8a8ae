// The map of the pages: paths and their typed search parameters, which are the deep links. Pages load when first seen.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { STATE_NAMES, type StateName } from "@/api/state";
import { WINDOW_DEFAULT, WINDOW_NAMES, type WindowName } from "@/cache/activity";
import { findSearch, type FindSearch } from "@/log/query";
import { LoginPage } from "@/session/login-page";
import { ErrorPage, NotFoundPage } from "./fallback";
import { Shell } from "./shell";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFoundPage, errorComponent: ErrorPage });

const home = createRoute({ getParentRoute: () => root, path: "/", component: lazyRouteComponent(() => import("@/home/home-page"), "HomePage") });

/** "/runs?state=failure,cancelled" */
export interface RunsSearch {
  state?: string | undefined;
}

export const runsRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  validateSearch: (search): RunsSearch => {
    const names = text(search.state)?.split(",").filter(isStateName) ?? [];
    return names.length === 0 ? {} : { state: [...new Set(names)].join(",") };
  },
  component: lazyRouteComponent(() => import("@/runs/runs-page"), "RunsPage"),
});

/** "/runs/12?job=test%20(a)&step=2&l=120-180&q=error"; view=summary shows what the steps wrote for people. */
export interface RunSearch extends FindSearch {
  job?: string | undefined;
  step?: number | undefined;
  l?: string | undefined;
  view?: "summary" | undefined;
}

export const runRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId",
  validateSearch: (search): RunSearch => {
    const step = Number(search.step);
    const job = text(search.job);
    return {
      ...(job === undefined ? {} : { job }),
      ...(search.step !== undefined && Number.isInteger(step) && step >= 0 ? { step } : {}),
      ...lineSearch(search),
      ...findSearch(search),
      ...(search.view === "summary" ? { view: "summary" as const } : {}),
    };
  },
  component: lazyRouteComponent(() => import("@/run/run-page"), "RunPage"),
});

/** "/cache?instance=a/b&window=7d"; no instance: all of them; an empty one: the one without a name. */
export interface CacheSearch {
  instance?: string | undefined;
  window?: WindowName | undefined;
}

export const cacheRoute = createRoute({
  getParentRoute: () => root,
  path: "/cache",
  validateSearch: (search): CacheSearch => ({
    ...(typeof search.instance === "string" ? { instance: search.instance } : {}),
    ...(WINDOW_NAMES.includes(search.window as WindowName) && search.window !== WINDOW_DEFAULT ? { window: search.window as WindowName } : {}),
  }),
  component: lazyRouteComponent(() => import("@/cache/cache-page"), "CachePage"),
});

/** What names a blob beside its hash; a digest function only where the hash's length does not tell it. */
interface DigestSearch {
  size?: string | undefined;
  instance?: string | undefined;
  fn?: string | undefined;
}

/** "/actions/0a1b…?size=142&instance=a/b". Below /cache are the keys of build tools: pages stay clear of it. */
export const actionRoute = createRoute({
  getParentRoute: () => root,
  path: "/actions/$hash",
  validateSearch: digestSearch,
  component: lazyRouteComponent(() => import("@/cache/action-page"), "ActionPage"),
});

/** "/blobs/0a1b…?size=142&kind=directory&at=src/lib&name=inputs": from this directory down to src/lib. */
export interface BlobSearch extends DigestSearch {
  kind?: "directory" | undefined;
  at?: string | undefined;
  name?: string | undefined;
}

export const blobRoute = createRoute({
  getParentRoute: () => root,
  path: "/blobs/$hash",
  validateSearch: (search): BlobSearch => {
    const at = text(search.at);
    const name = text(search.name);
    return { ...digestSearch(search), ...(search.kind === "directory" ? { kind: "directory" as const } : {}), ...(at === undefined ? {} : { at }), ...(name === undefined ? {} : { name }) };
  },
  component: lazyRouteComponent(() => import("@/cache/blob-page"), "BlobPage"),
});

/** Which executions the queue lists. */
export const QUEUE_STAGE_NAMES = ["flight", "running", "queued", "done"] as const;
export type QueueStageName = (typeof QUEUE_STAGE_NAMES)[number];

/** "/queue?stage=running"; nothing: all that are in flight. */
export interface QueueSearch {
  stage?: QueueStageName | undefined;
}

export const queueRoute = createRoute({
  getParentRoute: () => root,
  path: "/queue",
  validateSearch: (search): QueueSearch => (QUEUE_STAGE_NAMES.includes(search.stage as QueueStageName) && search.stage !== "flight" ? { stage: search.stage as QueueStageName } : {}),
  component: lazyRouteComponent(() => import("@/queue/queue-page"), "QueuePage"),
});

export const executionRoute = createRoute({ getParentRoute: () => root, path: "/executions/$executionId", component: lazyRouteComponent(() => import("@/execution/execution-page"), "ExecutionPage") });

export const INVOCATION_TABS = ["targets", "tests", "log", "cache", "timing", "executions", "details"] as const;
export type InvocationTab = (typeof INVOCATION_TABS)[number];

/** How invocations stand, as in links. */
export const INVOCATION_STATUS_NAMES = ["running", "succeeded", "failed", "interrupted", "disconnected"] as const;
export type InvocationStatusName = (typeof INVOCATION_STATUS_NAMES)[number];

/** "/invocations?status=failed&q=ada" */
export interface InvocationsSearch {
  status?: InvocationStatusName | undefined;
  q?: string | undefined;
}

export const invocationsRoute = createRoute({
  getParentRoute: () => root,
  path: "/invocations",
  validateSearch: (search): InvocationsSearch => {
    const status = INVOCATION_STATUS_NAMES.find((name) => name === search.status);
    const q = text(search.q);
    return { ...(status === undefined ? {} : { status }), ...(q === undefined ? {} : { q }) };
  },
  component: lazyRouteComponent(() => import("@/invocations/invocations-page"), "InvocationsPage"),
});

/** "/invocations/0a1b…?tab=log&l=12-20&q=error"; no tab: targets, of which q and only=failed choose some. */
export interface InvocationSearch extends FindSearch {
  tab?: InvocationTab | undefined;
  only?: "failed" | undefined;
  l?: string | undefined;
}

export const invocationRoute = createRoute({
  getParentRoute: () => root,
  path: "/invocations/$invocationId",
  validateSearch: (search): InvocationSearch => {
    const q = text(search.q);
    return {
      ...(INVOCATION_TABS.includes(search.tab as InvocationTab) && search.tab !== "targets" ? { tab: search.tab as InvocationTab } : {}),
      ...(search.tab === "log" ? findSearch(search) : q === undefined ? {} : { q }),
      ...(search.only === "failed" ? { only: "failed" as const } : {}),
      ...lineSearch(search),
    };
  },
  component: lazyRouteComponent(() => import("@/invocations/invocation-page"), "InvocationPage"),
});

export const logsRoute = createRoute({ getParentRoute: () => root, path: "/logs", component: lazyRouteComponent(() => import("@/logs/logs-page"), "LogsPage") });

/** "/logs/r.0a1b.events?l=120-180&q=error": any log by its id. What is below it ("/raw") is the server's. */
export interface LogSearch extends FindSearch {
  l?: string | undefined;
}

export const logRoute = createRoute({
  getParentRoute: () => root,
  path: "/logs/$logId",
  validateSearch: (search): LogSearch => ({ ...lineSearch(search), ...findSearch(search) }),
  component: lazyRouteComponent(() => import("@/logs/log-page"), "LogPage"),
});

const runners = createRoute({ getParentRoute: () => root, path: "/runners", component: lazyRouteComponent(() => import("@/runners/runners-page"), "RunnersPage") });
const login = createRoute({ getParentRoute: () => root, path: "/sign-in", component: LoginPage });

export const router = createRouter({
  routeTree: root.addChildren([home, runsRoute, runRoute, cacheRoute, actionRoute, blobRoute, queueRoute, executionRoute, invocationsRoute, invocationRoute, logsRoute, logRoute, runners, login]),
  defaultPreload: "intent",
  defaultErrorComponent: ErrorPage,
  // Plain text in links: "?job=build" rather than JSON; a line range must not become a number.
  parseSearch: (search) => Object.fromEntries(new URLSearchParams(search)),
  stringifySearch: (search) => {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(search)) {
      if (typeof value === "string" || typeof value === "number") params.set(name, String(value));
    }
    const text = params.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
    return text === "" ? "" : `?${text}`;
  },
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

function digestSearch(search: Record<string, unknown>): DigestSearch {
  const size = text(search.size);
  const instance = text(search.instance);
  const fn = text(search.fn);
  return { ...(size === undefined ? {} : { size }), ...(instance === undefined ? {} : { instance }), ...(fn === undefined ? {} : { fn }) };
}

function lineSearch(search: Record<string, unknown>): { l?: string } {
  const l = text(search.l);
  return l !== undefined && /^\d+(-\d+)?$/.test(l) ? { l } : {};
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isStateName(name: string): name is StateName {
  return (STATE_NAMES as string[]).includes(name);
}
