// A blob, by its digest: its size, its beginning when it looks like text, and a download. A directory, when the link says
// that it is one: its entries, and a way down and up again.
import { curlCall, curlGet } from "@/api/curl";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import { blobRoute, type BlobSearch } from "@/app/router";
import { ContentAddressableStorage } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { bytesText } from "@/ui/bytes";
import { Alert, Loading } from "@/ui/message";
import { casPath, linkedBlob, type BlobRef } from "./digest";
import { DirectoryView } from "./directory-view";
import { DetailHead, Download, Missing } from "./parts";
import { Shown } from "./preview";
import { batchRequest, PREVIEW_MAX_BYTES, useBlob } from "./read";

/** Larger ones don't come in a batch; the download is the call to copy then. */
const CURL_BATCH_MAX_BYTES = 1024 * 1024;

export function BlobPage() {
  const { hash } = blobRoute.useParams();
  const search = blobRoute.useSearch();
  const parsed = linkedBlob(hash, search);
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">
      {!parsed.ok ? <Alert>{parsed.problem}</Alert> : search.kind === "directory" ? <DirectoryView key={hash} root={parsed.blob} search={search} /> : <BlobDetails key={hash} blob={parsed.blob} name={search.name} />}
    </div>
  );
}

function BlobDetails({ blob, name }: { blob: BlobRef; name: BlobSearch["name"] }) {
  const { mode } = useRights();
  const curl = () => (blob.size === undefined || blob.size > CURL_BATCH_MAX_BYTES ? curlGet(casPath(blob), mode === "serve") : curlCall(ContentAddressableStorage.method.batchReadBlobs, batchRequest(blob), mode === "serve"));
  return (
    <>
      <DetailHead title={name ?? "Blob"} blob={blob} curl={curl} />
      <BlobContent blob={blob} name={name ?? blob.hash} />
    </>
  );
}

/** Size, download and preview; or that it is not there. */
export function BlobContent({ blob, name }: { blob: BlobRef; name: string }) {
  const { data, error } = useBlob(blob, PREVIEW_MAX_BYTES);
  if (error !== null)
    return (
      <div className="mt-3">
        <Alert>{errorText(error)}</Alert>
      </div>
    );
  if (data === undefined) return <Loading what="the blob" />;
  if (!data.here)
    return (
      <div className="mt-3">
        <Missing>
          The instance {blob.instance === "" ? "without a name" : blob.instance} has no such blob: it was evicted, never uploaded, or belongs to another instance or digest function. Build again to have it back, or choose the instance on the cache page and open the digest there.
        </Missing>
      </div>
    );
  return (
    <div className="mt-3">
      <div className="mb-3 flex flex-wrap items-center gap-3">
        <Download blob={blob} name={name} words />
        <span>
          {bytesText(data.size)} <span className="text-muted">({String(data.size)} bytes)</span>
        </span>
      </div>
      <Shown read={data} blob={blob} name={name} label="The content" />
    </div>
  );
}
