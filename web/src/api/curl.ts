// Any call of a page as a line for a shell: that is how people debug us.
import { toJson, type DescMessage, type DescMethodServerStreaming, type DescMethodUnary, type MessageInitShape, create } from "@bufbuild/protobuf";

/** The call as curl with JSON; with `auth` it names the variable that holds a token. */
export function curlCall<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O>, input: MessageInitShape<I>, auth: boolean): string {
  const body = JSON.stringify(toJson(method.input, create(method.input, input)));
  const url = `${location.origin}/${method.parent.typeName}/${method.name}`;
  return `curl -s ${quote(url)} -H 'content-type: application/json'${authHeader(auth)} -d ${quote(body)}`;
}

/** A call that answers with a stream, as curl: the request in its envelope (a byte of flags, four of length). */
export function curlStream<I extends DescMessage, O extends DescMessage>(method: DescMethodServerStreaming<I, O>, input: MessageInitShape<I>, auth: boolean): string {
  const body = JSON.stringify(toJson(method.input, create(method.input, input)));
  const length = new TextEncoder().encode(body).length;
  const head = [0, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
  const url = `${location.origin}/${method.parent.typeName}/${method.name}`;
  return `(printf '${head}'; printf %s ${quote(body)}) | curl -sN ${quote(url)} -H 'content-type: application/connect+json'${authHeader(auth)} --data-binary @-`;
}

/** A plain GET as curl. */
export function curlGet(path: string, auth: boolean): string {
  return `curl -s ${quote(`${location.origin}${path}`)}${authHeader(auth)}`;
}

/** A word that a POSIX shell takes as it is. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function authHeader(auth: boolean): string {
  return auth ? ' -H "authorization: Bearer $MILLRACE_TOKEN"' : "";
}
