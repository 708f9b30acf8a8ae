// Buttons and links that look like them.
import type { ComponentProps } from "react";

export type Look = "primary" | "plain" | "quiet" | "danger";

const LOOKS: Record<Look, string> = {
  primary: "bg-accent text-accent-ink border-transparent hover:brightness-110",
  plain: "bg-raised text-ink border-line-strong hover:bg-hover",
  quiet: "bg-transparent text-muted border-transparent hover:bg-hover hover:text-ink",
  danger: "bg-raised text-bad border-line-strong hover:bg-bad-soft",
};

export function buttonClass(look: Look = "plain", square = false): string {
  return `inline-flex h-7 items-center justify-center gap-1.5 rounded-md border text-[13px] font-medium whitespace-nowrap select-none disabled:opacity-50 disabled:pointer-events-none ${square ? "w-7" : "px-2.5"} ${LOOKS[look]}`;
}

export function Button({ look, square, className = "", ...rest }: ComponentProps<"button"> & { look?: Look; square?: boolean }) {
  return <button type="button" className={`${buttonClass(look, square)} ${className}`} {...rest} />;
}
