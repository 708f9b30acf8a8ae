// The frame of every page: the way around, the theme, who one is, and the sign-in page when the server asks for it.
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { signOut, useSession } from "@/api/session";
import { LoginPage } from "@/session/login-page";
import { Button } from "@/ui/button";
import { HelpIcon, MillIcon, MoonIcon, SunIcon } from "@/ui/icons";
import { ShortcutDialog, useShortcut, useShortcutKeys } from "@/ui/shortcuts";
import { toggleTheme, useTheme } from "@/ui/theme";

const TABS = [
  { to: "/", label: "Home" },
  { to: "/runs", label: "Runs" },
  { to: "/invocations", label: "Invocations" },
  { to: "/queue", label: "Queue" },
  { to: "/runners", label: "Runners" },
  { to: "/cache", label: "Cache" },
  { to: "/logs", label: "Logs" },
] as const;

/** Pages that have no tab of their own. */
const BELOW: Record<string, string> = { "/actions": "/cache", "/blobs": "/cache", "/executions": "/queue" };

export function Shell() {
  const session = useSession();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const [help, setHelp] = useState(false);
  useShortcutKeys();
  useShortcut("g h", "Go to home", () => void navigate({ to: "/" }));
  useShortcut("g r", "Go to runs", () => void navigate({ to: "/runs", search: {} }));
  useShortcut("g i", "Go to invocations", () => void navigate({ to: "/invocations", search: {} }));
  useShortcut("g q", "Go to the queue", () => void navigate({ to: "/queue", search: {} }));
  useShortcut("g n", "Go to runners", () => void navigate({ to: "/runners" }));
  useShortcut("g c", "Go to the cache", () => void navigate({ to: "/cache", search: {} }));
  useShortcut("g l", "Go to logs", () => void navigate({ to: "/logs" }));
  useShortcut("t", "Light or dark", toggleTheme);
  useShortcut("?", "This list", () => setHelp(true));
  const locked = session.data?.authenticated === false;
  return (
    <div className="flex min-h-full flex-col lg:h-full">
      <a href="#main" className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:m-1 focus:rounded focus:bg-raised focus:px-3 focus:py-1">
        Skip to the page
      </a>
      <header className="flex h-11 shrink-0 items-center gap-1 border-b bg-panel px-2 sm:px-3">
        <Link to="/" className="mr-1 flex items-center gap-2 rounded px-1 font-semibold sm:mr-3" aria-label="Millrace: home">
          <MillIcon className="text-accent" />
          <span className="hidden sm:inline">Millrace</span>
        </Link>
        <nav aria-label="Pages" className="flex h-full min-w-0 items-stretch overflow-x-auto [scrollbar-width:none]">
          {TABS.map((tab) => {
            const current = isCurrent(tab.to, pathname);
            return (
              <Link key={tab.to} to={tab.to} ref={current ? intoView : undefined} aria-current={current ? "page" : undefined} className={`flex items-center border-b-2 px-2.5 ${current ? "border-accent font-medium text-ink" : "border-transparent text-muted hover:text-ink"}`}>
                {tab.label}
              </Link>
            );
          })}
        </nav>
        <span className="flex-1" />
        {session.data?.mode === "serve" && session.data.authenticated && <SignOut role={session.data.role} />}
        <Button look="quiet" square aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => setHelp(true)}>
          <HelpIcon />
        </Button>
        <ThemeButton />
      </header>
      <main id="main" className="flex min-h-0 flex-1 flex-col lg:overflow-y-auto">
        {locked ? <LoginPage /> : <Outlet />}
      </main>
      <ShortcutDialog open={help} onOpenChange={setHelp} />
    </div>
  );
}

function isCurrent(tab: string, pathname: string): boolean {
  if (tab === "/") return pathname === "/";
  return within(pathname, tab) || Object.entries(BELOW).some(([path, of]) => of === tab && within(pathname, path));
}

/** On a phone the tabs scroll. */
function intoView(tab: HTMLElement | null): void {
  tab?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function within(pathname: string, tab: string): boolean {
  return pathname === tab || pathname.startsWith(`${tab}/`);
}

function ThemeButton() {
  const theme = useTheme();
  return (
    <Button look="quiet" square aria-label={theme === "dark" ? "Light theme" : "Dark theme"} title={`${theme === "dark" ? "Light" : "Dark"} theme (t)`} onClick={toggleTheme}>
      {theme === "dark" ? <SunIcon /> : <MoonIcon />}
    </Button>
  );
}

function SignOut({ role }: { role: string }) {
  const client = useQueryClient();
  return (
    <Button look="quiet" onClick={() => void signOut(client)}>
      Sign out <span className="hidden text-muted sm:inline">({role})</span>
    </Button>
  );
}
