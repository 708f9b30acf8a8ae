// Properties as they are written: name=value, each name in its own frame.
import type { Property } from "@/gen/pkg/proto/runner/v1/runner_pb";
import { grouped } from "./mismatch";

export function PropertyList({ properties, none }: { properties: readonly Property[]; none: string }) {
  if (properties.length === 0) return <span className="text-muted">{none}</span>;
  return (
    <span className="inline-flex max-w-full flex-wrap gap-1">
      {[...grouped(properties)].map(([name, values]) => (
        <code key={name} className="rounded border bg-panel px-1.5 text-muted [overflow-wrap:anywhere]">
          {name}=<span className="text-ink">{values.join(", ")}</span>
        </code>
      ))}
    </span>
  );
}
