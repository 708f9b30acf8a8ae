//! gRPC calls that fail before there is an answer: their whole status stands in the headers ("Trailers-Only"), for a client
//! that finds a status there reads no further, and would miss the details that come as trailers.

use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt;

/// Moves the trailers of an answer that has its status in the headers already, and nothing else to say, to that status.
pub async fn trailers_only(response: Response) -> Response {
    if !response.headers().contains_key("grpc-status") {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // It was decided before anything was sent: nothing is waited for here.
    let Ok(rest) = body.collect().await else { return Response::from_parts(head, Body::empty()) };
    for (name, value) in rest.trailers().into_iter().flatten() {
        head.headers.insert(name, value.clone());
    }
    Response::from_parts(head, Body::from(rest.to_bytes()))
}
