// Why a platform queue can't take what asks for some properties, as rows of a diff: what fits beside what does not.
import type { Mismatch, PlatformQueue } from "@/gen/millrace/v1/queue_pb";
import type { Property } from "@/gen/pkg/proto/runner/v1/runner_pb";

export interface DiffRow {
  name: string;
  /** Values that are asked for; more than one is rare. */
  requested: string[];
  /** Values that are offered; none: the platform does not have this property. */
  offered: string[];
  fits: boolean;
}

type Named = Pick<Property, "name" | "value">;

/** Each property that is asked for, once: those that don't fit first, in the order of the request otherwise. */
export function diffRows(requested: readonly Named[], mismatch: Mismatch, offer: Pick<PlatformQueue, "properties"> | undefined): DiffRow[] {
  const asked = grouped(requested);
  const offered = grouped(offer?.properties ?? []);
  const bad = new Map(mismatch.properties.map((each) => [each.name, each]));
  const rows = [...asked].map(([name, values]) => ({ name, requested: values, offered: bad.get(name)?.offered ?? offered.get(name) ?? [], fits: !bad.has(name) }));
  // The server may know of one that the request, cut or older, does not list.
  for (const each of mismatch.properties) if (!asked.has(each.name)) rows.push({ name: each.name, requested: [each.requested], offered: each.offered, fits: false });
  return [...rows.filter((row) => !row.fits), ...rows.filter((row) => row.fits)];
}

/** "OSFamily=linux, Arch=amd64"; nothing: "any platform". */
export function propertiesText(properties: readonly Named[]): string {
  return properties.length === 0 ? "any platform" : properties.map((each) => `${each.name}=${each.value}`).join(", ");
}

/** Each name once, with all its values. */
export function grouped(properties: readonly Named[]): Map<string, string[]> {
  const by = new Map<string, string[]>();
  for (const { name, value } of properties) by.set(name, [...(by.get(name) ?? []), value]);
  return by;
}
