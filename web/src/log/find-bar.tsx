// The search bar of a log: what is looked for, how far the search has come, and the way from hit to hit. Knows neither
// the worker nor the rows.
import { useImperativeHandle, useId, useRef, useState, type KeyboardEvent, type Ref } from "react";
import { Button } from "@/ui/button";
import { countText } from "@/ui/bytes";
import { CloseIcon, DownIcon, FilterIcon, UpIcon } from "@/ui/icons";
import type { FindStatus } from "./find";
import type { Query } from "./protocol";
import { QUERY_MAX_CHARS } from "./query";

export interface FindBarHandle {
  /** The field gets the focus, its text is chosen; false when it had the focus already. */
  focus(): boolean;
}

export interface FindBarProps {
  handle: Ref<FindBarHandle>;
  query: Query;
  /** Undefined while there is nothing to look for. */
  status: FindStatus | undefined;
  only: boolean;
  onQuery: (query: Query) => void;
  onStep: (direction: 1 | -1) => void;
  onOnly: (only: boolean) => void;
  onClose: () => void;
}

export function FindBar({ handle, query, status, only, onQuery, onStep, onOnly, onClose }: FindBarProps) {
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const [composing, setComposing] = useState<string>();
  useImperativeHandle(handle, () => ({
    focus() {
      const had = document.activeElement === input.current;
      input.current?.focus();
      input.current?.select();
      return !had;
    },
  }));
  const failed = status?.state === "failed";
  const onKey = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Escape") onClose();
    else if (event.key === "Enter" && event.target === input.current) onStep(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div role="search" aria-label="Search in this log" className="flex flex-wrap items-center gap-x-1 gap-y-1 border-b bg-panel px-2 py-1" onKeyDown={onKey}>
      <span className="flex min-w-0 flex-[1_1_15rem] items-center gap-1 sm:max-w-xl">
        <input
          ref={input}
          value={composing ?? query.text}
          // Half a syllable is nothing to look for.
          onCompositionStart={() => setComposing(query.text)}
          onCompositionEnd={({ currentTarget }) => (setComposing(undefined), onQuery({ ...query, text: currentTarget.value }))}
          onChange={({ target }) => (composing === undefined ? onQuery({ ...query, text: target.value }) : setComposing(target.value))}
          placeholder={query.regex ? "Regular expression" : "Text"}
          aria-label="Search in this log"
          aria-invalid={failed}
          aria-describedby={failed ? `${id}p` : undefined}
          maxLength={QUERY_MAX_CHARS}
          spellCheck={false}
          autoComplete="off"
          className={`h-7 min-w-0 flex-1 rounded-md border bg-raised px-2 font-mono text-[12px] placeholder:text-muted ${failed ? "border-bad" : "border-line-strong"}`}
        />
        <Toggle on={query.caseSensitive} label="Match case" onToggle={(caseSensitive) => onQuery({ ...query, caseSensitive })}>
          Aa
        </Toggle>
        <Toggle on={query.regex} label="Regular expression" onToggle={(regex) => onQuery({ ...query, regex })}>
          .*
        </Toggle>
      </span>
      <span className="flex flex-[1_0_auto] items-center gap-1">
        <Button look="quiet" square aria-label="Former hit" title="Former hit (Shift+Enter, Shift+F3)" disabled={!canStep(status)} onClick={() => onStep(-1)}>
          <UpIcon />
        </Button>
        <Button look="quiet" square aria-label="Next hit" title="Next hit (Enter, F3)" disabled={!canStep(status)} onClick={() => onStep(1)}>
          <DownIcon />
        </Button>
        <Button look="quiet" square aria-pressed={only} aria-label="Only lines with hits" title="Only lines with hits" disabled={!only && !canStep(status)} onClick={() => onOnly(!only)}>
          <FilterIcon className={only ? "text-accent" : ""} />
        </Button>
        <span className="min-w-0 flex-1 px-1 text-muted" data-testid="find-stand" data-state={status?.state}>
          {query.text !== "" && status !== undefined && !failed && standText(status)}
        </span>
        <Button look="quiet" square aria-label="Close the search" title="Close the search (Esc)" onClick={onClose}>
          <CloseIcon />
        </Button>
      </span>
      {failed && (
        <p id={`${id}p`} role="alert" className="basis-full px-1 break-words whitespace-pre-wrap text-bad">
          {status.message}
        </p>
      )}
      {status?.truncated === true && !failed && (
        <p className="basis-full px-1 text-muted">
          The first {countText(status.listed)} lines are listed and marked; those after them are only counted. Look for something rarer to reach them.
        </p>
      )}
      <span role="status" className="sr-only">
        {status !== undefined && status.state !== "searching" && !failed && query.text !== "" ? standText(status) : ""}
      </span>
    </div>
  );
}

function Toggle({ on, label, onToggle, children }: { on: boolean; label: string; onToggle: (on: boolean) => void; children: string }) {
  return (
    <button type="button" aria-pressed={on} aria-label={label} title={label} onClick={() => onToggle(!on)} className={`h-7 w-7 shrink-0 rounded-md border font-mono text-[12px] ${on ? "border-accent bg-accent-soft text-ink" : "border-transparent text-muted hover:bg-hover hover:text-ink"}`}>
      {children}
    </button>
  );
}

function canStep(status: FindStatus | undefined): boolean {
  return status !== undefined && status.listed > 0;
}

/** "12 of 3 456 lines · searching 43 %". */
export function standText({ state, current, matchingLines, linesSearched, linesTotal }: FindStatus): string {
  const lines = `${countText(matchingLines)} ${matchingLines === 1 ? "line" : "lines"}`;
  const found = matchingLines === 0 ? "" : current < 0 ? lines : `${countText(current + 1)} of ${lines}`;
  if (state === "waiting") return join(found, "connection lost, trying again");
  if (state === "searching") return join(found, linesTotal === 0 ? "searching …" : `searching ${Math.floor((linesSearched / linesTotal) * 100)} %`);
  return found === "" ? (state === "watching" ? "No hit so far" : "No hit") : found;
}

function join(...parts: string[]): string {
  return parts.filter((part) => part !== "").join(" · ");
}
