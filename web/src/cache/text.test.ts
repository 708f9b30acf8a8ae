import { expect, it } from "vitest";
import { asText } from "./text";

const bytes = (text: string) => new TextEncoder().encode(text);

it("takes text, and leaves out colours", () => {
  expect(asText(bytes("a\tb\u001b[1;31m rouge é\u001b[0m\n"))).toBe("a\tb rouge é\n");
  expect(asText(bytes("né").subarray(0, 2))).toBe("n");
  expect(asText(new Uint8Array())).toBe("");
});

it("takes nothing else", () => {
  expect(asText(new Uint8Array([97, 0, 98]))).toBeUndefined();
  expect(asText(new Uint8Array([0x7f, 0x45, 0xff, 0xfe]))).toBeUndefined();
});
