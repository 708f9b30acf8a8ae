// The search of a log pane as React sees it: what is in the bar, the same in the link, and where the focus goes back to.
import { useEffect, useEffectEvent, useRef, useState, type RefObject } from "react";
import type { FindBarHandle } from "./find-bar";
import { useFindKeys } from "./find-keys";
import type { Query } from "./protocol";
import { queryOf, sameQuery, searchOf, type FindSearch } from "./query";
import type { LogView } from "./view";

/** The link follows when the reader has stopped typing. */
const LINK_MS = 400;
const EMPTY: Query = { text: "", regex: false, caseSensitive: false };

export function useFind(logId: string, link: FindSearch, onLink: (search: FindSearch) => void, pane: RefObject<HTMLElement | null>, view: RefObject<LogView | null>) {
  const [query, setQuery] = useState(() => queryOf(link));
  const [shown, setShown] = useState(logId);
  const bar = useRef<FindBarHandle>(null);
  const told = useRef(queryOf(link));
  const back = useRef<Element | null>(null);
  if (shown !== logId) {
    // Another log: its search is that of the link.
    setShown(logId);
    setQuery(queryOf(link));
  }

  const look = (next: Query | undefined) => {
    setQuery(next);
    view.current?.search(next?.text === "" ? undefined : next);
  };
  const open = () => {
    if (bar.current !== null) return bar.current.focus();
    back.current = document.activeElement;
    const text = getSelection()?.toString() ?? "";
    const marked = text !== "" && text.length <= 200 && !text.includes("\n") && pane.current?.contains(getSelection()?.anchorNode ?? null) === true;
    look(marked ? { ...EMPTY, text } : EMPTY);
    return true;
  };
  const close = () => {
    look(undefined);
    const to = back.current;
    back.current = null;
    if (to instanceof HTMLElement && to.isConnected && to !== document.body) to.focus();
    else pane.current?.querySelector<HTMLElement>(".log-view")?.focus({ preventScroll: true });
  };
  const step = (direction: 1 | -1) => {
    if (query === undefined) return false;
    view.current?.nextHit(direction);
    return true;
  };

  useFindKeys(pane, open, step);
  const onOpened = useEffectEvent(() => {
    // Opened by the reader, not by a link.
    if (query?.text === "" || back.current !== null) bar.current?.focus();
  });
  const isOpen = query !== undefined;
  useEffect(() => onOpened(), [isOpen]);
  const tell = useEffectEvent(() => {
    const next = query?.text === "" ? undefined : query;
    if (sameQuery(next, told.current)) return;
    told.current = next;
    onLink(searchOf(next));
  });
  useEffect(() => {
    const timer = setTimeout(() => tell(), LINK_MS);
    return () => clearTimeout(timer);
  }, [query]);
  const follow = useEffectEvent(() => {
    const next = queryOf(link);
    if (sameQuery(next, told.current)) return;
    told.current = next;
    look(next);
  });
  // A link was followed, or the browser went back.
  useEffect(() => follow(), [link.q, link.regex, link.case]);
  const begin = useEffectEvent(() => {
    told.current = queryOf(link);
    back.current = null;
  });
  useEffect(() => begin(), [logId]);
  return { query, bar, open, close, step, look };
}
