// A dialog. The backdrop is our own: Radix' overlay writes an inline style sheet, which the content security policy
// forbids.
import * as Radix from "@radix-ui/react-dialog";
import type { ReactNode } from "react";
import { Button } from "./button";
import { CloseIcon } from "./icons";

export function Dialog({ open, onOpenChange, title, description, children }: { open: boolean; onOpenChange: (open: boolean) => void; title: string; description?: string; children: ReactNode }) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <div className="fixed inset-0 z-40 bg-shade" aria-hidden="true" />
        <Radix.Content
          className="fixed inset-x-3 top-[8vh] z-50 mx-auto max-h-[84vh] max-w-2xl overflow-y-auto rounded-lg border border-line-strong bg-raised p-4 shadow-xl outline-none"
          {...(description === undefined ? { "aria-describedby": undefined } : {})}
        >
          <div className="mb-3 flex items-start justify-between gap-4">
            <div>
              <Radix.Title className="text-[15px] leading-6 font-semibold">{title}</Radix.Title>
              {description !== undefined && <Radix.Description className="text-muted">{description}</Radix.Description>}
            </div>
            <Radix.Close asChild>
              <Button look="quiet" square aria-label="Close">
                <CloseIcon />
              </Button>
            </Radix.Close>
          </div>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
