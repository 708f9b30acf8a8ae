// Light or dark: as the system says until the reader chooses. public/theme.js applies it before the first paint.
import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark";

const KEY = "millrace-theme";
const listeners = new Set<() => void>();
const system = matchMedia("(prefers-color-scheme: dark)");

system.addEventListener("change", () => {
  if (stored() === null) apply(system.matches ? "dark" : "light");
});

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, current);
}

export function toggleTheme(): void {
  const next = current() === "dark" ? "light" : "dark";
  try {
    // Back to what the system says anyway: no choice to keep.
    if ((next === "dark") === system.matches) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  apply(next);
}

function current(): Theme {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function apply(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
