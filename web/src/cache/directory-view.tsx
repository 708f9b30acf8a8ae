// A directory of the CAS, and the way from its root to what is shown: "at" holds the names on the way. A name may be that
// of a file: then the file is shown, with the same way back.
import { Link } from "@tanstack/react-router";
import { Fragment } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import type { BlobSearch } from "@/app/router";
import { ContentAddressableStorage, type Directory } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { Alert, Loading } from "@/ui/message";
import { BlobContent } from "./blob-page";
import { linkSearch, sibling, type BlobRef } from "./digest";
import { FileRow, FolderRow, SymlinkRow } from "./entry-row";
import { baseName, DetailHead, Missing } from "./parts";
import { batchRequest, useWalk } from "./read";

export function DirectoryView({ root, search }: { root: BlobRef; search: BlobSearch }) {
  const { mode } = useRights();
  const names = (search.at ?? "").split("/").filter((name) => name !== "");
  const { data, error } = useWalk(root, names);
  const at = data?.state === "folder" || data?.state === "file" ? data.at : root;
  return (
    <>
      <DetailHead title={names.at(-1) ?? search.name ?? "Directory"} blob={at} curl={() => curlCall(ContentAddressableStorage.method.batchReadBlobs, batchRequest(at), mode === "serve")} />
      <Crumbs root={root} search={search} names={names} />
      <div className="mt-2">
        {error !== null ? (
          <Alert>{errorText(error)}</Alert>
        ) : data === undefined ? (
          <Loading what="the directory" />
        ) : data.state === "folder" ? (
          <Entries folder={data.folder} root={root} search={search} names={names} />
        ) : data.state === "file" ? (
          <BlobContent blob={data.at} name={baseName(names.join("/"))} />
        ) : data.state === "missing" ? (
          <Missing>
            The directory {data.name === "" ? "" : `${data.name} `}is not in the cache: it was evicted, or the client never uploaded it. Clients that only cache upload no inputs.
          </Missing>
        ) : data.state === "nothing" ? (
          <Missing>
            {data.near === "" ? "The root" : data.near} holds no directory {data.name}.
          </Missing>
        ) : (
          <Missing>This can&apos;t be shown as a directory: {data.why}.</Missing>
        )}
      </div>
    </>
  );
}

function Crumbs({ root, search, names }: { root: BlobRef; search: BlobSearch; names: readonly string[] }) {
  const link = (depth: number, label: string) => (
    <Link to="/blobs/$hash" params={{ hash: root.hash }} search={below(root, search, names.slice(0, depth))} preload={false} className="text-link">
      {label}
    </Link>
  );
  const last = names.length;
  return (
    <nav aria-label="Path" className="mt-1 flex flex-wrap gap-x-1">
      {last === 0 ? <span aria-current="page">{search.name ?? "root"}</span> : link(0, search.name ?? "root")}
      {names.map((name, index) => (
        <Fragment key={index}>
          <span className="text-muted">/</span>
          {index === last - 1 ? <span aria-current="page">{name}</span> : link(index + 1, name)}
        </Fragment>
      ))}
    </nav>
  );
}

function Entries({ folder, root, search, names }: { folder: Directory; root: BlobRef; search: BlobSearch; names: readonly string[] }) {
  const to = (name: string) => (
    <Link to="/blobs/$hash" params={{ hash: root.hash }} search={below(root, search, [...names, name])} preload={false} className="text-link">
      {name}
    </Link>
  );
  if (folder.directories.length + folder.files.length + folder.symlinks.length === 0) return <p className="text-muted">This directory is empty.</p>;
  return (
    <ul aria-label="Entries" className="border-t">
      {folder.directories.map((each) => (
        <FolderRow key={each.name} note="directory">
          {to(each.name)}
        </FolderRow>
      ))}
      {folder.files.map((each) => (
        <FileRow key={each.name} name={each.name} path={[...names, each.name].join("/")} blob={each.digest === undefined ? undefined : sibling(root, each.digest)} executable={each.isExecutable} link={to(each.name)} />
      ))}
      {folder.symlinks.map((each) => (
        <SymlinkRow key={each.name} name={each.name} target={each.target} />
      ))}
    </ul>
  );
}

function below(root: BlobRef, search: BlobSearch, names: readonly string[]) {
  return { ...linkSearch(root), kind: "directory" as const, ...(search.name === undefined ? {} : { name: search.name }), ...(names.length === 0 ? {} : { at: names.join("/") }) };
}
