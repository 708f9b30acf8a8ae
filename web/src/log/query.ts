// What is looked for, as in links: "?q=time+out&regex=1&case=1". Knows no router and no view.
import type { Query } from "./protocol";

/** The search parameters of a page with a log. */
export interface FindSearch {
  q?: string | undefined;
  regex?: "1" | undefined;
  case?: "1" | undefined;
}

/** The server's limit is 1 024 bytes. */
export const QUERY_MAX_CHARS = 1_000;

/** The valid ones of a link's parameters; without a pattern there is none. */
export function findSearch(search: Record<string, unknown>): FindSearch {
  const { q } = search;
  if (typeof q !== "string" || q === "" || q.length > QUERY_MAX_CHARS) return {};
  return { q, ...(search.regex === "1" ? { regex: "1" as const } : {}), ...(search.case === "1" ? { case: "1" as const } : {}) };
}

export function queryOf({ q, regex, case: cased }: FindSearch): Query | undefined {
  return q === undefined ? undefined : { text: q, regex: regex === "1", caseSensitive: cased === "1" };
}

export function searchOf(query: Query | undefined): FindSearch {
  if (query === undefined || query.text === "") return {};
  return { q: query.text, ...(query.regex ? { regex: "1" as const } : {}), ...(query.caseSensitive ? { case: "1" as const } : {}) };
}

export function sameQuery(a: Query | undefined, b: Query | undefined): boolean {
  return a?.text === b?.text && a?.regex === b?.regex && a?.caseSensitive === b?.caseSensitive;
}
