// Ctrl+F (Cmd+F) opens the search of a log on the page; pressed again it is the browser's own. F3 goes on. With several
// logs on a page it is the one with the focus, or else the first. Knows nothing of what is searched.
import { useEffect, useEffectEvent, type RefObject } from "react";

interface Target {
  pane: RefObject<HTMLElement | null>;
  /** Opens it, or answers false: the browser's own search is wanted. */
  open: () => boolean;
  /** Goes to the next hit, or the one before; false: there is no search. */
  step: (direction: 1 | -1) => boolean;
}

let targets: readonly Target[] = [];

export function useFindKeys(pane: RefObject<HTMLElement | null>, open: () => boolean, step: (direction: 1 | -1) => boolean): void {
  const onOpen = useEffectEvent(open);
  const onStep = useEffectEvent(step);
  useEffect(() => {
    const target: Target = { pane, open: () => onOpen(), step: (direction) => onStep(direction) };
    if (targets.length === 0) document.addEventListener("keydown", onKey);
    targets = [...targets, target];
    return () => {
      targets = targets.filter((each) => each !== target);
      if (targets.length === 0) document.removeEventListener("keydown", onKey);
    };
  }, [pane]);
}

function onKey(event: KeyboardEvent): void {
  if (event.altKey || event.defaultPrevented || document.querySelector("[role=dialog], [role=menu]") !== null) return;
  const find = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "f";
  const again = event.key === "F3" && !event.ctrlKey && !event.metaKey;
  if (!find && !again) return;
  const focused = targets.filter(({ pane }) => pane.current?.contains(document.activeElement) === true);
  const target = focused[0] ?? targets.toSorted((a, b) => order(a.pane.current, b.pane.current))[0];
  if (target === undefined) return;
  if (find ? target.open() : target.step(event.shiftKey ? -1 : 1)) event.preventDefault();
}

function order(a: Node | null, b: Node | null): number {
  if (a === null || b === null) return 0;
  return (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0 ? -1 : 1;
}
