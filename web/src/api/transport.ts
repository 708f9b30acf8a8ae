// The way to the server: Connect on the page's own origin, binary, reads by GET.
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { QueryClient } from "@tanstack/react-query";
import { signedOut } from "./session";

const POLL_STALE_MS = 5_000;
const RETRIES = 2;

const noticeSignOut: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.Unauthenticated) signedOut(queryClient);
    throw error;
  }
};

export const transport = createConnectTransport({
  baseUrl: location.origin,
  useBinaryFormat: true,
  useHttpGet: true,
  interceptors: [noticeSignOut],
});

export const queryClient: QueryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: POLL_STALE_MS,
      retry: (count, error) => count < RETRIES && isTransient(error),
    },
  },
});

/** What a failed call has to say, for people. */
export function errorText(error: unknown): string {
  const failure = ConnectError.from(error);
  if (failure.code === Code.Unavailable || (failure.code === Code.Unknown && /fetch/i.test(failure.rawMessage))) {
    return "The server can't be reached. Is it running?";
  }
  return failure.rawMessage === "" ? `The server answered with ${Code[failure.code]}.` : failure.rawMessage;
}

export function isNotFound(error: unknown): boolean {
  return error !== null && error !== undefined && ConnectError.from(error).code === Code.NotFound;
}

function isTransient(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Unavailable || code === Code.Unknown || code === Code.Aborted || code === Code.Internal;
}
