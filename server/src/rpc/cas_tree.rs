//! `GetTree`: pages as a stream, the next one read when the one before has gone out.

use std::sync::Arc;

use connectrpc::ConnectError;
use futures::{Stream, stream};
use millrace_engine::actions::{TreePage, TreePages};
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi as wire;

use super::status::status;
use crate::app::App;

/// The pages of a tree from one on. A root that is missing is an error before the stream begins.
pub async fn pages(
    app: &Arc<App>,
    instance: InstanceName,
    root: Digest,
    page_size: i32,
    page_token: String,
) -> Result<impl Stream<Item = Result<wire::GetTreeResponse, ConnectError>> + Send + 'static, ConnectError> {
    let pages = app.cache.trees.pages(&instance, &root, page_size, &page_token).await.map_err(status)?;
    Ok(stream::try_unfold(pages, async |mut pages: TreePages| {
        let page = pages.next().await.map_err(status)?;
        Ok(page.map(|page| (response(page), pages)))
    }))
}

fn response(page: TreePage) -> wire::GetTreeResponse {
    let TreePage { directories, next_page_token } = page;
    wire::GetTreeResponse { directories, next_page_token, ..Default::default() }
}
