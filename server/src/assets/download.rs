//! A download over HTTP: follows redirects, tries again what may work another time, and stops what is too large or
//! stands still. Where the bytes go is the sink's business.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use millrace_engine::assets::{Fault, Integrity, Upstream};
use rand::Rng;
use url::Url;

use super::dial::{Answer, Dialer, shown};
use super::headers::without_secrets;

/// The most redirects that are followed.
const REDIRECTS_MAX: usize = 10;
/// How often one URI is tried.
const TRIES_MAX: u32 = 5;
/// How long to wait before the second try, in milliseconds; then twice as long each time.
const BACKOFF_MS: u64 = 100;
/// The longest that a server may ask to wait between two tries.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// How long a body may stand still.
const STALL_MAX: Duration = Duration::from_mins(1);

/// Takes a download in.
#[async_trait]
pub trait Sink: Send {
    /// The content begins, perhaps for another time: what was taken before does not count.
    async fn begin(&mut self, size: Option<u64>) -> Result<(), Fault>;
    /// It goes on.
    async fn write(&mut self, data: Bytes) -> Result<(), Fault>;
}

/// What is downloaded.
pub struct Order<'a> {
    /// From where.
    pub url: Url,
    /// With which headers.
    pub headers: HeaderMap,
    /// What the content has to hash to.
    pub integrity: Option<&'a Integrity>,
    /// The most bytes.
    pub max_bytes: u64,
}

/// How one try ended.
enum Failed {
    Again(Fault, Option<Duration>),
    Finally(Fault),
}

/// Downloads into a sink.
pub async fn download(dialer: &Dialer, order: &Order<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
    let mut tries = 0;
    loop {
        let failed = match follow(dialer, order).await {
            Ok((_, answer)) => match receive(order, answer, sink).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            },
            Err(failed) => failed,
        };
        wait(failed, &mut tries).await?;
    }
}

/// Where a URL leads in the end, without reading what is there: only that it answers with 200.
pub async fn resolve(dialer: &Dialer, order: &Order<'_>) -> Result<Url, Fault> {
    let mut tries = 0;
    loop {
        match follow(dialer, order).await {
            Ok((url, _)) => return Ok(url),
            Err(failed) => wait(failed, &mut tries).await?,
        }
    }
}

/// Waits before the next try, if there is to be one.
async fn wait(failed: Failed, tries: &mut u32) -> Result<(), Fault> {
    *tries += 1;
    match failed {
        Failed::Finally(fault) => Err(fault),
        Failed::Again(fault, _) if *tries >= TRIES_MAX => Err(fault),
        Failed::Again(_, after) => {
            let backoff = BACKOFF_MS << (*tries - 1);
            let backoff = Duration::from_millis(rand::rng().random_range(backoff / 2..=backoff));
            tokio::time::sleep(after.unwrap_or(backoff).min(RETRY_AFTER_MAX)).await;
            Ok(())
        }
    }
}

/// The final answer, after redirects; each hop's address is checked like the first one's.
async fn follow(dialer: &Dialer, order: &Order<'_>) -> Result<(Url, Answer), Failed> {
    let (mut url, mut headers) = (order.url.clone(), order.headers.clone());
    for _ in 0..=REDIRECTS_MAX {
        let answer = dialer.get(&url, headers.clone()).await.map_err(|fault| match fault {
            Fault::Upstream(Upstream::Unavailable, _) => Failed::Again(fault, None),
            fault => Failed::Finally(fault),
        })?;
        if answer.response.status() == StatusCode::OK {
            return Ok((url, answer));
        }
        let Some(next) = redirect(&url, &answer)? else { return Err(refused(&url, &answer)) };
        if url.scheme() == "https" && next.scheme() == "http" && order.integrity.is_none() {
            let message = format!("{} redirects to plain HTTP, and no checksum.sri says what to expect", shown(&url));
            return Err(Failed::Finally(Fault::upstream(Upstream::Denied, message)));
        }
        if next.origin() != url.origin() {
            headers = without_secrets(&headers);
        }
        url = next;
    }
    let message = format!("{}: more than {REDIRECTS_MAX} redirects", shown(&order.url));
    Err(Failed::Finally(Fault::upstream(Upstream::Aborted, message)))
}

fn redirect(url: &Url, answer: &Answer) -> Result<Option<Url>, Failed> {
    if !matches!(answer.response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let bad =
        |why: &str| Failed::Finally(Fault::upstream(Upstream::Aborted, format!("{}: redirects to {why}", shown(url))));
    let location = answer.response.headers().get(header::LOCATION).ok_or_else(|| bad("nowhere"))?;
    let location = location.to_str().map_err(|_| bad("what is no URL"))?;
    let mut next = url.join(location).map_err(|_| bad("what is no URL"))?;
    if !matches!(next.scheme(), "http" | "https") || next.host().is_none() {
        return Err(bad("neither HTTP nor HTTPS"));
    }
    // Another party's credentials for somebody are not ours to use.
    if next.set_username("").is_err() || next.set_password(None).is_err() {
        return Err(bad("what has no host"));
    }
    Ok(Some(next))
}

/// An answer that is neither content nor a redirect.
fn refused(url: &Url, answer: &Answer) -> Failed {
    let status = answer.response.status();
    let kind = match status.as_u16() {
        404 | 410 => Upstream::NotFound,
        401 | 403 | 407 | 451 => Upstream::Denied,
        429 => Upstream::Exhausted,
        408 | 425 | 500.. => Upstream::Unavailable,
        _ => Upstream::Aborted,
    };
    let fault = Fault::upstream(kind, format!("{}: HTTP {status}", shown(url)));
    match kind {
        Upstream::Exhausted | Upstream::Unavailable => Failed::Again(fault, retry_after(answer.response.headers())),
        _ => Failed::Finally(fault),
    }
}

/// How long the server asks to wait, if it says so in seconds. A date is not worth a clock: the backoff will do.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn receive(order: &Order<'_>, answer: Answer, sink: &mut dyn Sink) -> Result<(), Failed> {
    let Answer { mut response, connection: _connection } = answer;
    let too_large = |bytes: u64| {
        let message = format!("{}: {bytes} bytes or more; the limit is {}", shown(&order.url), order.max_bytes);
        Failed::Finally(Fault::upstream(Upstream::Exhausted, message))
    };
    let length = hyper::body::Body::size_hint(response.body()).exact();
    if let Some(length) = length.filter(|length| *length > order.max_bytes) {
        return Err(too_large(length));
    }
    sink.begin(length).await.map_err(Failed::Finally)?;
    let mut check = order.integrity.map(Integrity::check);
    let mut total = 0;
    loop {
        let again = |why: &str| {
            let message = format!("{}: broke off after {total} bytes: {why}", shown(&order.url));
            Failed::Again(Fault::upstream(Upstream::Unavailable, message), None)
        };
        let frame = tokio::time::timeout(STALL_MAX, response.body_mut().frame()).await;
        let frame = match frame.map_err(|_| again("nothing came any more"))? {
            None => break,
            Some(frame) => frame.map_err(|error| again(&error.to_string()))?,
        };
        let Ok(data) = frame.into_data() else { continue };
        total += data.len() as u64;
        if total > order.max_bytes {
            return Err(too_large(total));
        }
        if let Some(check) = &mut check {
            check.update(&data);
        }
        sink.write(data).await.map_err(Failed::Finally)?;
    }
    if let Some(Err(found)) = check.map(millrace_engine::assets::IntegrityCheck::finish) {
        let message = format!("{}: the content does not match checksum.sri; it is {found}", shown(&order.url));
        return Err(Failed::Finally(Fault::upstream(Upstream::Aborted, message)));
    }
    Ok(())
}
