// What is asked for against what a platform queue offers, property by property: words, signs and colours together.
import type { Mismatch, PlatformQueue } from "@/gen/millrace/v1/queue_pb";
import type { Property } from "@/gen/pkg/proto/runner/v1/runner_pb";
import { diffRows, type DiffRow } from "./mismatch";
import { platformTitle } from "./words";

export function MismatchDiff({ requested, mismatch, platform }: { requested: readonly Property[]; mismatch: Mismatch; platform: PlatformQueue | undefined }) {
  const rows = diffRows(requested, mismatch, platform);
  const title = platform === undefined ? mismatch.platform : platformTitle(platform);
  return (
    <div className="overflow-x-auto rounded-md border" tabIndex={0} role="region" aria-label={`Requested against ${title}`}>
      <table className="w-full text-left">
        <thead className="bg-panel text-muted">
          <tr>
            <th scope="col" className="px-2.5 py-1 font-medium">
              Property
            </th>
            <th scope="col" className="px-2.5 py-1 font-medium">
              Requested
            </th>
            <th scope="col" className="px-2.5 py-1 font-medium">
              Offered by{" "}
              <span className="text-ink" title={mismatch.platform}>
                {title}
              </span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row key={row.name} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ row }: { row: DiffRow }) {
  const cell = "border-t px-2.5 py-1 align-top [overflow-wrap:anywhere]";
  if (row.fits) {
    return (
      <tr className="text-muted" data-fits="true">
        <th scope="row" className={`${cell} font-normal whitespace-nowrap`}>
          <code>{row.name}</code>
        </th>
        <td className={cell}>
          <code>{row.requested.join(", ")}</code>
        </td>
        <td className={cell}>
          <span aria-hidden="true">= </span>
          <code>{row.offered.join(", ")}</code>
          <span className="sr-only"> fits</span>
        </td>
      </tr>
    );
  }
  return (
    <tr data-fits="false">
      <th scope="row" className={`${cell} font-medium whitespace-nowrap`}>
        <code>{row.name}</code>
      </th>
      <td className={`${cell} bg-bad-soft text-bad`}>
        <span aria-hidden="true">− </span>
        <code>{row.requested.join(", ")}</code>
        <span className="sr-only"> does not fit</span>
      </td>
      <td className={`${cell} bg-warn-soft text-warn`}>
        <span aria-hidden="true">+ </span>
        {row.offered.length === 0 ? "not offered" : <code>{row.offered.join(", ")}</code>}
      </td>
    </tr>
  );
}
