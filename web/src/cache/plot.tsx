// The hit rate over time: a line, with the lookups as bars behind it. A picture only; the page says the same in words and
// in a table. Loaded when first seen.
import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { countText } from "@/ui/bytes";
import { useTheme } from "@/ui/theme";
import { rateText, type Columns } from "./activity";

const HEIGHT_PX = 220;
const FONT = "11px ui-sans-serif, system-ui, sans-serif";
/** The bars take the lower half: the line is what is looked at. */
const BAR_SHARE = 0.5;
/** 60 % in the two digits that follow a colour. */
const FOUND_ALPHA = "99";
const DAY_SECONDS = 86_400;

export function Plot({ columns, label }: { columns: Columns; label: string }) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const latest = useRef(columns);
  const theme = useTheme();
  const [pointed, setPointed] = useState<number | null>(null);
  useEffect(() => {
    const el = frame.current;
    if (el === null) return;
    const made = new uPlot(options(el.clientWidth, setPointed), data(latest.current), el);
    plot.current = made;
    const resize = new ResizeObserver(() => {
      if (el.clientWidth > 0 && el.clientWidth !== made.width) made.setSize({ width: el.clientWidth, height: HEIGHT_PX });
    });
    resize.observe(el);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Colours are read when the plot is made: another theme makes it anew.
  }, [theme]);
  useEffect(() => {
    latest.current = columns;
    plot.current?.setData(data(columns));
  }, [columns]);
  return (
    <figure className="m-0">
      <div className="flex min-h-5 flex-wrap gap-x-4 text-[12px] text-muted" aria-hidden="true">
        <Key look="line">Hit rate</Key>
        <Key look="found">Lookups that hit</Key>
        <Key look="asked">Lookups that missed</Key>
        <span className="flex-1" />
        <span className="text-ink">{pointed !== null && <Pointed columns={columns} index={pointed} />}</span>
      </div>
      <div ref={frame} role="img" aria-label={label} data-testid="plot" className="mt-1 w-full overflow-hidden" style={{ height: HEIGHT_PX }} />
    </figure>
  );
}

function Key({ look, children }: { look: "line" | "found" | "asked"; children: string }) {
  return (
    <span className="inline-flex items-center gap-1.5">
      <span className={look === "line" ? "h-0.5 w-3 bg-accent" : look === "found" ? "size-2.5 bg-accent/60" : "size-2.5 bg-line-strong"} />
      {children}
    </span>
  );
}

function Pointed({ columns, index }: { columns: Columns; index: number }) {
  const rate = columns.rates[index];
  return (
    <>
      {new Date((columns.times[index] ?? 0) * 1000).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" })}: {typeof rate === "number" ? `${rateText(rate / 100)} of ${countText(columns.asked[index] ?? 0)} lookups` : "no lookups"}
    </>
  );
}

/** Nothing rather than a bar of no height. */
function data({ times, rates, found, asked }: Columns): uPlot.AlignedData {
  const orNothing = (count: number) => (count === 0 ? null : count);
  return [times, asked.map(orNothing), found.map(orNothing), rates];
}

/** Half a step more at each end: there the bars stand in full. */
function padded(plot: uPlot, min: number | null, max: number | null): [number, number] {
  const times = plot.data[0];
  const half = ((times[1] ?? 0) - (times[0] ?? 0)) / 2;
  return [(min ?? 0) - half, (max ?? 0) + half];
}

/** Times of a day, with the date where it begins; dates alone where steps are days. */
function timeLabels(_plot: uPlot, splits: number[], _axis: number, _space: number, step: number): string[] {
  return splits.map((split) => {
    const at = new Date(split * 1000);
    const dated = step >= DAY_SECONDS || (at.getHours() === 0 && at.getMinutes() === 0);
    return dated ? at.toLocaleDateString(undefined, { month: "short", day: "numeric" }) : at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  });
}

function options(width: number, point: (index: number | null) => void): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const bars = uPlot.paths.bars?.({ size: [0.8, 40] });
  const axis: uPlot.Axis = { stroke: colour("--muted"), font: FONT, grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1, size: 4 } };
  const bar = (fill: string): uPlot.Series => ({ scale: "count", fill, width: 0, points: { show: false }, ...(bars === undefined ? {} : { paths: bars }) });
  return {
    width,
    height: HEIGHT_PX,
    padding: [8, 0, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false, setScale: false }, y: false, points: { show: false } },
    scales: { x: { range: padded }, percent: { range: [0, 100] }, count: { range: (_plot, _min, max) => [0, Math.max(1, max) / BAR_SHARE] } },
    axes: [
      { ...axis, size: 30, values: timeLabels },
      { ...axis, scale: "percent", size: 48, values: (_plot, splits) => splits.map((split) => `${split} %`), splits: () => [0, 25, 50, 75, 100] },
      { ...axis, scale: "count", side: 1, size: 48, grid: { show: false }, values: (_plot, splits) => splits.map((split) => (Number.isInteger(split) ? short(split) : "")) },
    ],
    series: [
      {},
      bar(colour("--line-strong")),
      bar(`${colour("--accent")}${FOUND_ALPHA}`),
      { scale: "percent", stroke: colour("--accent"), width: 2, spanGaps: false, points: { show: true, size: 5, fill: colour("--accent"), stroke: colour("--accent") } },
    ],
    hooks: { setCursor: [(plot) => point(plot.cursor.left !== undefined && plot.cursor.left >= 0 ? (plot.cursor.idx ?? null) : null)] },
  };
}

/** "1.2k": the axis has no room. */
function short(count: number): string {
  return count < 1000 ? String(count) : count < 1_000_000 ? `${Number((count / 1000).toPrecision(3))}k` : `${Number((count / 1_000_000).toPrecision(3))}M`;
}
