import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { MismatchSchema } from "@/gen/millrace/v1/queue_pb";
import { PropertySchema } from "@/gen/pkg/proto/runner/v1/runner_pb";
import { diffRows, propertiesText } from "./mismatch";

const props = (...pairs: [string, string][]) => pairs.map(([name, value]) => create(PropertySchema, { name, value }));

it("shows each property once, what does not fit first", () => {
  const mismatch = create(MismatchSchema, { platform: "linux", properties: [{ name: "OSFamily", requested: "windows", offered: ["linux"] }, { name: "gpu", requested: "1", offered: [] }] });
  expect(diffRows(props(["Arch", "amd64"], ["OSFamily", "windows"], ["gpu", "1"]), mismatch, { properties: props(["Arch", "amd64"], ["Arch", "386"], ["OSFamily", "linux"], ["pool", "*"]) })).toEqual([
    { name: "OSFamily", requested: ["windows"], offered: ["linux"], fits: false },
    { name: "gpu", requested: ["1"], offered: [], fits: false },
    { name: "Arch", requested: ["amd64"], offered: ["amd64", "386"], fits: true },
  ]);
});

it("shows what the server names though the request does not list it, and knows no offer", () => {
  const mismatch = create(MismatchSchema, { properties: [{ name: "memory", requested: "8", offered: ["max-4"] }] });
  expect(diffRows([], mismatch, undefined)).toEqual([{ name: "memory", requested: ["8"], offered: ["max-4"], fits: false }]);
});

it("says properties in a line", () => {
  expect(propertiesText(props(["a", "1"], ["b", ""]))).toBe("a=1, b=");
  expect(propertiesText([])).toBe("any platform");
});
