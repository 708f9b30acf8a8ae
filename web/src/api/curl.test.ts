import { beforeAll, expect, it, vi } from "vitest";
import { PipelineService } from "@/gen/millrace/v1/pipeline_pb";
import { State } from "./state";
import { curlCall, curlGet, quote } from "./curl";

beforeAll(() => vi.stubGlobal("location", { origin: "http://h:1" }));

it("makes a line that a shell takes", () => {
  expect(curlCall(PipelineService.method.listRuns, { pageSize: 5, states: [State.FAILURE] }, false)).toBe(`curl -s 'http://h:1/millrace.v1.PipelineService/ListRuns' -H 'content-type: application/json' -d '{"pageSize":5,"states":["STATE_FAILURE"]}'`);
});

it("names the token where one is needed", () => {
  expect(curlGet("/logs/a/raw", true)).toBe(`curl -s 'http://h:1/logs/a/raw' -H "authorization: Bearer $MILLRACE_TOKEN"`);
});

it("quotes quotes", () => expect(quote("it's")).toBe(`'it'\\''s'`));
