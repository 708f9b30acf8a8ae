// A menu behind a button. Not modal: Radix' scroll lock writes an inline style sheet, which the content security policy
// forbids.
import * as Radix from "@radix-ui/react-dropdown-menu";
import type { ReactNode } from "react";

export interface MenuItem {
  label: string;
  hint?: string;
  danger?: boolean;
  disabled?: boolean;
  onSelect: () => void;
}

export function Menu({ trigger, items }: { trigger: ReactNode; items: MenuItem[] }) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content align="end" sideOffset={4} className="z-50 min-w-48 rounded-md border border-line-strong bg-raised p-1 shadow-lg">
          {items.map((item) => (
            <Radix.Item
              key={item.label}
              disabled={item.disabled === true}
              onSelect={item.onSelect}
              className={`cursor-pointer rounded px-2 py-1 outline-none data-disabled:cursor-default data-disabled:opacity-50 data-highlighted:bg-hover ${item.danger === true ? "text-bad" : ""}`}
            >
              {item.label}
              {item.hint !== undefined && <div className="text-[12px] leading-4 text-muted">{item.hint}</div>}
            </Radix.Item>
          ))}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
