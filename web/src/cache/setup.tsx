// How a build tool is told of this cache: lines to copy, with this server's address in them.
import { useState } from "react";
import { useRights } from "@/api/session";
import { Command } from "@/ui/copy";
import { bazelrc, type Place } from "./bazelrc";
import { instancePath } from "./digest";

const TOOLS = ["Bazel", "Bazel over HTTP", "curl", "ccache", "sccache", "Gradle"] as const;
type Tool = (typeof TOOLS)[number];

export function UseCache({ instance }: { instance: string }) {
  const { mode } = useRights();
  const [tool, setTool] = useState<Tool>("Bazel");
  const place: Place = { instance, token: mode === "serve" };
  const { file, lines, note } = SNIPPETS[tool](place);
  return (
    <div>
      <div role="group" aria-label="Build tool" className="flex flex-wrap gap-1.5">
        {TOOLS.map((each) => (
          <button key={each} type="button" aria-pressed={each === tool} onClick={() => setTool(each)} className={`h-7 rounded-full border px-2.5 whitespace-nowrap ${each === tool ? "border-accent bg-accent-soft font-medium" : "border-line-strong text-muted hover:bg-hover hover:text-ink"}`}>
            {each}
          </button>
        ))}
      </div>
      <p className="mt-2 mb-1 text-muted">{file}</p>
      <Command line={lines} label={`Lines for ${tool}`} />
      {note !== undefined && <p className="mt-1 text-muted">{note}</p>}
      {place.token && <p className="mt-1 text-muted">Put a token with the role cache-write (or cache-read, for machines that only read) in place of TOKEN.</p>}
    </div>
  );
}

const SNIPPETS: Record<Tool, (place: Place) => { file: string; lines: string; note?: string }> = {
  Bazel: (place) => ({ file: "In .bazelrc. BuildStream, Pants, recc, moon and other tools of the remote execution API take the same address.", lines: bazelrc(place) }),
  "Bazel over HTTP": (place) => ({ file: "In .bazelrc, where only HTTP passes.", lines: bazelrc(place, "http") }),
  curl: ({ instance, token }) => {
    const base = `${location.origin}${instancePath(instance)}`;
    const auth = token ? ' -H "authorization: Bearer TOKEN"' : "";
    return {
      file: "In a shell: a file goes in under its SHA-256 and comes back.",
      lines: `hash=$(sha256sum FILE | cut -d ' ' -f 1)\ncurl -sf${auth} -T FILE ${base}/cas/$hash\ncurl -sf${auth} -o COPY ${base}/cas/$hash`,
    };
  },
  ccache: ({ instance, token }) => ({ file: "In ccache.conf (4.4 or later).", lines: `remote_storage = ${location.origin}${instancePath(instance)}/cache layout=flat${token ? " bearer-token=TOKEN" : ""}` }),
  sccache: ({ instance, token }) => ({ file: "In the environment of the sccache server.", lines: `export SCCACHE_WEBDAV_ENDPOINT=${location.origin}${instancePath(instance)}/cache${token ? "\nexport SCCACHE_WEBDAV_TOKEN=TOKEN" : ""}` }),
  Gradle: ({ instance, token }) => {
    const insecure = location.protocol === "https:" ? "" : "\n        allowInsecureProtocol = true";
    const credentials = token ? `\n        credentials {\n            username = "token"\n            password = "TOKEN"\n        }` : "";
    return {
      file: "In settings.gradle; then build with --build-cache.",
      lines: `buildCache {\n    remote(HttpBuildCache) {\n        url = "${location.origin}${instancePath(instance)}/cache/"${insecure}\n        push = true${credentials}\n    }\n}`,
    };
  },
};
