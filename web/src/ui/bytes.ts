// Sizes as people read them. Powers of 1024; bigint where the wire has 64 bits.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** "0 B", "1.5 KiB", "37 MiB": two or three figures that count. */
export function bytesText(bytes: bigint | number): string {
  let size = Number(bytes);
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  // 1023.7 would round to "1024 KiB".
  if (Math.round(size) >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return `${trimZeros(size.toFixed(digits))} ${UNITS[unit]}`;
}

/** All digits, in groups: "1 234 567". */
export function countText(count: bigint | number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
