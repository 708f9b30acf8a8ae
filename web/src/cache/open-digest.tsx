// The box that takes a digest, in any of the forms that tools print, and goes to the action or the blob it names.
import { useNavigate } from "@tanstack/react-router";
import { useId, useRef, useState } from "react";
import { Button } from "@/ui/button";
import { useShortcut } from "@/ui/shortcuts";
import { linkSearch, parseBlobName } from "./digest";

export function OpenDigest({ instance }: { instance: string }) {
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  useShortcut("/", "Cache: open by digest", () => input.current?.focus());
  const open = (to: "/actions/$hash" | "/blobs/$hash") => {
    const parsed = parseBlobName(text, instance);
    if (!parsed.ok) {
      setProblem(parsed.problem);
      input.current?.focus();
      return;
    }
    void navigate({ to, params: { hash: parsed.blob.hash }, search: linkSearch(parsed.blob) });
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        open(/(^|\/)ac\//.test(text) ? "/actions/$hash" : "/blobs/$hash");
      }}
    >
      <label htmlFor={id} className="font-semibold">
        Open by digest
      </label>
      <div className="mt-1.5 flex flex-wrap gap-2">
        <input
          ref={input}
          id={id}
          value={text}
          onChange={(event) => (setText(event.target.value), setProblem(""))}
          placeholder="hash/size, blobs/hash/size, bytestream://…"
          spellCheck={false}
          autoComplete="off"
          aria-invalid={problem !== ""}
          aria-describedby={problem === "" ? undefined : `${id}p`}
          className="h-7 min-w-0 flex-[1_1_16rem] rounded-md border border-line-strong bg-raised px-2 font-mono text-[12px] placeholder:text-muted"
        />
        <div className="flex gap-2">
          <Button onClick={() => open("/actions/$hash")}>Open action</Button>
          <Button type="submit">Open blob</Button>
        </div>
      </div>
      {problem !== "" && (
        <p id={`${id}p`} role="alert" className="mt-1 text-bad">
          {problem}
        </p>
      )}
    </form>
  );
}
