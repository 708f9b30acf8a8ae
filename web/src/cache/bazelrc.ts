// The lines of a .bazelrc that make Bazel use this server's cache.
import { instancePath } from "./digest";

export interface Place {
  instance: string;
  /** Where the server asks for a token. */
  token: boolean;
}

/** What a .bazelrc needs. */
export function bazelrc({ instance, token }: Place, over: "grpc" | "http" = "grpc"): string {
  const secure = location.protocol === "https:";
  const address = over === "grpc" ? `${secure ? "grpcs" : "grpc"}://${location.host}` : `${location.origin}${instancePath(instance)}`;
  return [
    `build --remote_cache=${address}`,
    ...(over === "grpc" && instance !== "" ? [`build --remote_instance_name=${instance}`] : []),
    ...(token ? [`build --remote_header=authorization="Bearer TOKEN"`] : []),
    ...(over === "grpc" ? ["build --remote_cache_compression"] : []),
  ].join("\n");
}
