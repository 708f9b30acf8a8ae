// The lines of a .bazelrc that make Bazel use this server: its cache, its runners, its pages of builds.
import { instancePath } from "./digest";

export interface Place {
  instance: string;
  /** Where the server asks for a token. */
  token: boolean;
}

/** What a .bazelrc needs. */
export function bazelrc({ instance, token }: Place, over: "grpc" | "http" = "grpc"): string {
  const address = over === "grpc" ? grpcAddress() : `${location.origin}${instancePath(instance)}`;
  return [
    `build --remote_cache=${address}`,
    ...(over === "grpc" && instance !== "" ? [`build --remote_instance_name=${instance}`] : []),
    ...(token ? [`build --remote_header=authorization="Bearer TOKEN"`] : []),
    ...(over === "grpc" ? ["build --remote_cache_compression"] : []),
  ].join("\n");
}

/** Runs actions here and gives each build a page; the cache comes with it. */
export function bazelrcExecution({ instance, token }: Place): string {
  const address = grpcAddress();
  return [
    `build --remote_executor=${address}`,
    ...(instance !== "" ? [`build --remote_instance_name=${instance}`] : []),
    ...(token ? [`build --remote_header=authorization="Bearer TOKEN"`] : []),
    ...bazelrcEvents({ instance, token }).split("\n"),
  ].join("\n");
}

/** Gives each build a page, wherever it runs. */
export function bazelrcEvents({ instance, token }: Place): string {
  return [
    `build --bes_backend=${grpcAddress()}`,
    `build --bes_results_url=${location.origin}/invocations/`,
    ...(instance !== "" ? [`build --bes_instance_name=${instance}`] : []),
    ...(token ? [`build --bes_header=authorization="Bearer TOKEN"`] : []),
  ].join("\n");
}

function grpcAddress(): string {
  return `${location.protocol === "https:" ? "grpcs" : "grpc"}://${location.host}`;
}
