// The graph of a run's jobs: laid out by dagre, drawn as SVG. A matrix is one node. Arrow keys walk along the edges.
import { graphlib, layout } from "@dagrejs/dagre";
import { useMemo, useRef, type KeyboardEvent } from "react";
import { millis, State, worst } from "@/api/state";
import type { Job } from "@/gen/millrace/v1/pipeline_pb";
import { stateColour, stateDrawing, stateWord } from "@/ui/status";
import { durationText, useNow } from "@/ui/time";
import { groupJobs, type JobGroup } from "./selection";

const NODE_WIDTH_PX = 184;
const NODE_HEIGHT_PX = 44;
const NAME_MAX_CHARS = 21;

interface Node {
  group: JobGroup;
  state: State;
  x: number;
  y: number;
  needs: string[];
}

interface Layout {
  nodes: Node[];
  edges: { from: string; to: string; points: { x: number; y: number }[] }[];
  width: number;
  height: number;
}

export default function JobGraph({ jobs, selected, onSelect }: { jobs: readonly Job[]; selected: string | undefined; onSelect: (job: Job) => void }) {
  const svg = useRef<SVGSVGElement>(null);
  const shape = jobs.map((job) => `${job.key}<${job.needs.join()}`).join(";");
  // eslint-disable-next-line react-hooks/exhaustive-deps -- the layout depends on the shape, not on what goes on in it
  const placed = useMemo(() => place(groupJobs(jobs)), [shape]);
  const groups = new Map(groupJobs(jobs).map((group) => [group.jobId, group]));
  const now = useNow(jobs.some((job) => job.state === State.RUNNING));
  const focused = placed.nodes.find((node) => node.group.jobId === selected)?.group.jobId ?? placed.nodes[0]?.group.jobId;

  const pick = (group: JobGroup) => {
    const order = [State.FAILURE, State.RUNNING, State.HELD];
    const job = order.map((state) => group.jobs.find((each) => each.state === state)).find((each) => each !== undefined) ?? group.jobs[0];
    if (job !== undefined) onSelect(job);
  };
  const onKeyDown = (event: KeyboardEvent, node: Node, group: JobGroup) => {
    if (event.key === "Enter" || event.key === " ") pick(group);
    else {
      const next = neighbour(placed, node, event.key);
      if (next === undefined) return;
      svg.current?.querySelector<SVGGElement>(`[data-node="${CSS.escape(next.group.jobId)}"]`)?.focus();
    }
    event.preventDefault();
  };

  return (
    <div className="overflow-auto" role="region" aria-label="Job graph" tabIndex={-1}>
      <svg ref={svg} width={placed.width} height={placed.height} viewBox={`0 0 ${placed.width} ${placed.height}`} role="group" aria-label={`${placed.nodes.length} jobs; arrow keys walk along the graph`} className="mx-auto block">
        {placed.edges.map((edge) => (
          <path key={`${edge.from} ${edge.to}`} d={curve(ends(placed, edge))} fill="none" stroke="var(--line-strong)" strokeWidth="1.5" />
        ))}
        {placed.nodes.map((node) => {
          const group = groups.get(node.group.jobId) ?? node.group;
          const state = worst(group.jobs.map((job) => job.state));
          const name = group.jobs.length > 1 ? group.jobId : (group.jobs[0]?.name ?? "") || group.jobId;
          const detail = nodeDetail(group, state, now);
          const on = group.jobId === selected;
          return (
            <g
              key={group.jobId}
              data-node={group.jobId}
              role="button"
              tabIndex={group.jobId === focused ? 0 : -1}
              aria-label={`${name}: ${detail}`}
              aria-pressed={on}
              transform={`translate(${node.x - NODE_WIDTH_PX / 2} ${node.y - NODE_HEIGHT_PX / 2})`}
              className="group cursor-pointer outline-none"
              onClick={() => pick(group)}
              onKeyDown={(event) => onKeyDown(event, node, group)}
            >
              <title>{`${name}: ${detail}`}</title>
              {group.jobs.length > 1 && <rect x="3" y="3" width={NODE_WIDTH_PX} height={NODE_HEIGHT_PX} rx="6" fill="var(--panel)" stroke="var(--line-strong)" />}
              <rect width={NODE_WIDTH_PX} height={NODE_HEIGHT_PX} rx="6" fill={on ? "var(--accent-soft)" : "var(--raised)"} stroke={on ? "var(--accent)" : "var(--line-strong)"} className="group-focus-visible:stroke-accent group-focus-visible:stroke-2 group-hover:stroke-accent" />
              <g transform={`translate(10 ${NODE_HEIGHT_PX / 2 - 8})`} className={stateColour(state)} fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round">
                {stateDrawing(state)}
              </g>
              <text x="34" y="19" fill="var(--ink)" fontSize="13" fontWeight="500">
                {short(name)}
              </text>
              <text x="34" y="34" fill="var(--muted)" fontSize="11">
                {short(detail, NAME_MAX_CHARS + 5)}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

function nodeDetail(group: JobGroup, state: State, now: number): string {
  if (group.jobs.length > 1) {
    const done = group.jobs.filter((job) => job.state === State.SUCCESS || job.state === State.SKIPPED).length;
    const failed = group.jobs.filter((job) => job.state === State.FAILURE).length;
    return `${stateWord(state)} · ${done} of ${group.jobs.length} done${failed > 0 ? `, ${failed} failed` : ""}`;
  }
  const job = group.jobs[0];
  const from = millis(job?.startedAt);
  return from === undefined ? stateWord(state) : `${stateWord(state)} · ${durationText((millis(job?.finishedAt) ?? now) - from)}`;
}

function place(groups: JobGroup[]): Layout {
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 12, ranksep: 44, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  const groupOf = new Map(groups.flatMap((group) => group.jobs.map((job) => [job.key, group.jobId] as const)));
  const needs = new Map<string, string[]>();
  for (const group of groups) {
    graph.setNode(group.jobId, { width: NODE_WIDTH_PX, height: NODE_HEIGHT_PX });
    needs.set(group.jobId, [...new Set(group.jobs.flatMap((job) => job.needs.flatMap((key) => groupOf.get(key) ?? [])))]);
  }
  for (const [to, all] of needs) for (const from of all) graph.setEdge(from, to);
  layout(graph);
  const size = graph.graph() as { width?: number; height?: number };
  return {
    nodes: groups.map((group) => {
      const { x, y } = graph.node(group.jobId) as { x: number; y: number };
      return { group, state: State.UNSPECIFIED, x, y, needs: needs.get(group.jobId) ?? [] };
    }),
    edges: graph.edges().map((edge) => ({ from: edge.v, to: edge.w, points: (graph.edge(edge) as { points: { x: number; y: number }[] }).points })),
    width: Math.ceil((size.width ?? 0) + 4),
    height: Math.ceil((size.height ?? 0) + 4),
  };
}

/** Left and right go along the edges, up and down within a column. */
function neighbour({ nodes }: Layout, from: Node, key: string): Node | undefined {
  const near = (found: Node[]) => found.sort((a, b) => Math.hypot(a.x - from.x, a.y - from.y) - Math.hypot(b.x - from.x, b.y - from.y))[0];
  switch (key) {
    case "ArrowLeft":
      return near(nodes.filter((node) => from.needs.includes(node.group.jobId)));
    case "ArrowRight":
      return near(nodes.filter((node) => node.needs.includes(from.group.jobId)));
    case "ArrowUp":
      return near(nodes.filter((node) => Math.abs(node.x - from.x) < 1 && node.y < from.y));
    case "ArrowDown":
      return near(nodes.filter((node) => Math.abs(node.x - from.x) < 1 && node.y > from.y));
    default:
      return undefined;
  }
}

/** An edge goes from the middle of a node's right side to the middle of the other's left, by dagre's way between. */
function ends({ nodes }: Layout, edge: Layout["edges"][number]): { x: number; y: number }[] {
  const from = nodes.find((node) => node.group.jobId === edge.from);
  const to = nodes.find((node) => node.group.jobId === edge.to);
  if (from === undefined || to === undefined) return edge.points;
  const start = { x: from.x + NODE_WIDTH_PX / 2, y: from.y };
  const end = { x: to.x - NODE_WIDTH_PX / 2, y: to.y };
  // Between neighbouring columns a single curve does; further, the way round the nodes between.
  const far = edge.points.length > 3 ? edge.points.slice(1, -1).filter((point) => point.x > start.x && point.x < end.x) : [];
  return [start, ...far, end];
}

function curve(points: { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return "";
  let d = `M${first.x} ${first.y}`;
  let last = first;
  for (const point of rest) {
    const half = (last.x + point.x) / 2;
    d += ` C${half} ${last.y} ${half} ${point.y} ${point.x} ${point.y}`;
    last = point;
  }
  return d;
}

function short(text: string, max = NAME_MAX_CHARS): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
