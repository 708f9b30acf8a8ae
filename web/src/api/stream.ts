// A watch stream in a component: opened, reopened with jittered back-off when it breaks, closed with the component.
import { Code, ConnectError } from "@connectrpc/connect";
import { useEffect, useEffectEvent, useState } from "react";
import { backoff } from "@/log/follow";

export type StreamState = "connecting" | "live" | "waiting" | "ended";

/** Runs a stream for as long as `key` stays; undefined: none. `opened` is called when the server has accepted it. */
export function useStream<T>(
  key: string | undefined,
  open: (options: { signal: AbortSignal; onHeader: () => void }) => AsyncIterable<T>,
  take: (message: T) => void,
  opened?: () => void,
): StreamState {
  const [state, setState] = useState<StreamState>("connecting");
  const onOpen = useEffectEvent(open);
  const onTake = useEffectEvent(take);
  const onOpened = useEffectEvent(() => opened?.());
  useEffect(() => {
    if (key === undefined) return;
    const stop = new AbortController();
    const loop = async () => {
      let failures = 0;
      while (!stop.signal.aborted) {
        setState("connecting");
        try {
          const onHeader = () => {
            failures = 0;
            setState("live");
            onOpened();
          };
          for await (const message of onOpen({ signal: stop.signal, onHeader })) onTake(message);
          if (!stop.signal.aborted) setState("ended");
          return;
        } catch (error) {
          if (stop.signal.aborted || isFinal(error)) return;
          setState("waiting");
        }
        await pause(backoff(failures, Math.random()), stop.signal);
        failures += 1;
      }
    };
    void loop();
    return () => stop.abort();
  }, [key]);
  return state;
}

function isFinal(error: unknown): boolean {
  return [Code.NotFound, Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument].includes(ConnectError.from(error).code);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
