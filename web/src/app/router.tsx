// The map of the pages: paths and their typed search parameters, which are the deep links. Pages load when first seen.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { STATE_NAMES, type StateName } from "@/api/state";
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

/** "/runs/12?job=test%20(a)&step=2&l=120-180"; view=summary shows what the steps wrote for people. */
export interface RunSearch {
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
    const l = text(search.l);
    const job = text(search.job);
    return {
      ...(job === undefined ? {} : { job }),
      ...(search.step !== undefined && Number.isInteger(step) && step >= 0 ? { step } : {}),
      ...(l !== undefined && /^\d+(-\d+)?$/.test(l) ? { l } : {}),
      ...(search.view === "summary" ? { view: "summary" as const } : {}),
    };
  },
  component: lazyRouteComponent(() => import("@/run/run-page"), "RunPage"),
});

const runners = createRoute({ getParentRoute: () => root, path: "/runners", component: lazyRouteComponent(() => import("@/runners/runners-page"), "RunnersPage") });
const login = createRoute({ getParentRoute: () => root, path: "/sign-in", component: LoginPage });

export const router = createRouter({
  routeTree: root.addChildren([home, runsRoute, runRoute, runners, login]),
  defaultPreload: "intent",
  defaultErrorComponent: ErrorPage,
  // Plain text in links: "?job=build" rather than JSON; a line range must not become a number.
  parseSearch: (search) => Object.fromEntries(new URLSearchParams(search)),
  stringifySearch: (search) => {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(search)) {
      if (typeof value === "string" || typeof value === "number") params.set(name, String(value));
    }
    const text = params.toString().replaceAll("%2C", ",");
    return text === "" ? "" : `?${text}`;
  },
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isStateName(name: string): name is StateName {
  return (STATE_NAMES as string[]).includes(name);
}
