import { expect, it } from "vitest";
import { bytesText, countText } from "./bytes";

it.each([
  [0, "0 B"],
  [1, "1 B"],
  [1023, "1023 B"],
  [1024, "1 KiB"],
  [1536, "1.5 KiB"],
  [10 * 1024, "10 KiB"],
  [102_399, "100 KiB"],
  [1024 * 1024 - 1, "1 MiB"],
  [10 * 1024 ** 3, "10 GiB"],
  [2n ** 63n - 1n, "8 EiB"],
])("%s bytes are %s", (bytes, text) => expect(bytesText(bytes)).toBe(text));

it.each([
  [0, "0"],
  [999, "999"],
  [1000, "1\u202f000"],
  [1234567n, "1\u202f234\u202f567"],
])("%s is written %s", (count, text) => expect(countText(count)).toBe(text));
