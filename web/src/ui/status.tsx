// A state as icon, word and colour together.
import { State } from "@/gen/millrace/v1/pipeline_pb";
import type { ReactNode } from "react";

interface Look {
  word: string;
  colour: string;
  icon: ReactNode;
}

const ring = <circle cx="8" cy="8" r="6.2" />;
const filled = <circle cx="8" cy="8" r="7" fill="currentColor" stroke="none" />;

const LOOKS: Record<State, Look> = {
  [State.UNSPECIFIED]: { word: "Unknown", colour: "text-muted", icon: ring },
  [State.PENDING]: { word: "Waiting", colour: "text-muted", icon: <circle cx="8" cy="8" r="6.2" strokeDasharray="2.2 2.2" /> },
  [State.HELD]: { word: "Needs approval", colour: "text-held", icon: <>{ring}<path d="M6.3 5.5v5M9.7 5.500v5" /></> },
  [State.QUEUED]: { word: "Queued", colour: "text-muted", icon: <>{ring}<path d="M8 4.500V8l2.3 1.4" /></> },
  [State.RUNNING]: { word: "Running", colour: "text-run", icon: <><circle cx="8" cy="8" r="6.2" opacity=".3" /><path d="M8 1.800A6.2 6.2 0 0 1 14.2 8" className="turning" /></> },
  [State.SUCCESS]: { word: "Succeeded", colour: "text-ok", icon: <>{filled}<path d="m4.9 8.3 2.1 2.1 4.1-4.5" stroke="var(--bg)" /></> },
  [State.FAILURE]: { word: "Failed", colour: "text-bad", icon: <>{filled}<path d="m5.5 5.5 5 5m0-5-5 5" stroke="var(--bg)" /></> },
  [State.CANCELLED]: { word: "Cancelled", colour: "text-warn", icon: <>{ring}<path d="m3.8 3.8 8.4 8.4" /></> },
  [State.SKIPPED]: { word: "Skipped", colour: "text-muted", icon: <>{ring}<path d="M5 8h6" /></> },
};

export function stateWord(state: State): string {
  return LOOKS[state].word;
}

export function stateColour(state: State): string {
  return LOOKS[state].colour;
}

/** The inside of a 16 x 16 drawing, for use in another drawing. */
export function stateDrawing(state: State): ReactNode {
  return LOOKS[state].icon;
}

/** The sign alone; the word is there for a screen reader, unless it stands beside it. */
export function StateIcon({ state, labelled = true }: { state: State; labelled?: boolean }) {
  const look = LOOKS[state];
  return (
    <span className={`inline-flex shrink-0 ${look.colour}`} title={labelled ? look.word : undefined}>
      <svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        {look.icon}
      </svg>
      {labelled && <span className="sr-only">{look.word}</span>}
    </span>
  );
}

/** Icon and word. */
export function StateLabel({ state, word }: { state: State; word?: string }) {
  const look = LOOKS[state];
  return (
    <span className={`inline-flex items-center gap-1.5 align-top whitespace-nowrap font-medium ${look.colour}`}>
      <StateIcon state={state} labelled={false} />
      {word ?? look.word}
    </span>
  );
}
