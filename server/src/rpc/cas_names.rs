//! What every call of the remote cache says first: who calls, in which instance, and which digests are meant. Checked
//! once, here; a fault names its field as the request spells it. Knows nothing of blobs.

use std::fmt::Display;

use connectrpc::{ConnectError, RequestContext};
use millrace_proto::digest::{Digest, DigestError, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::__buffa::view::DigestView;
use millrace_proto::reapi::{self as wire, digest_function};

use super::status::status;
use crate::app::App;
use crate::auth::{Caller, Role};

/// Who calls, without a copy.
pub fn caller(ctx: &RequestContext) -> &Caller {
    static NOBODY: Caller = Caller::Anonymous;
    ctx.extensions().get::<Caller>().unwrap_or(&NOBODY)
}

/// The instance with this name, if the caller may do there what asks for this role.
pub fn enter(app: &App, ctx: &RequestContext, role: Role, name: &str) -> Result<InstanceName, ConnectError> {
    let caller = caller(ctx);
    caller.may(role)?;
    app.cache.instances.of(caller, name).map_err(status)
}

/// The same for a name that is parsed already.
pub fn check(app: &App, ctx: &RequestContext, role: Role, instance: &InstanceName) -> Result<(), ConnectError> {
    let caller = caller(ctx);
    caller.may(role)?;
    app.cache.instances.check(caller, instance).map_err(status)
}

/// Reads the digests of one request.
pub struct Digests {
    function: i32,
    md5: bool,
}

impl Digests {
    /// With the function that the request names, or without.
    pub fn of(app: &App, function: buffa::EnumValue<digest_function::Value>) -> Self {
        Self { function: function.to_i32(), md5: app.cache_config.md5 }
    }

    /// A digest that must be there.
    pub fn required(&self, field: &str, digest: Option<&DigestView<'_>>) -> Result<Digest, ConnectError> {
        match digest {
            Some(digest) => self.one(|| field.to_owned(), digest),
            None => Err(ConnectError::invalid_argument(format!("{field}: is missing"))),
        }
    }

    /// The digests of a list.
    pub fn all<'a>(
        &self,
        field: &str,
        digests: impl ExactSizeIterator<Item = &'a DigestView<'a>>,
    ) -> Result<Vec<Digest>, ConnectError> {
        let mut all = Vec::with_capacity(digests.len());
        for (index, digest) in digests.enumerate() {
            all.push(self.one(|| format!("{field}[{index}]"), digest)?);
        }
        Ok(all)
    }

    /// A digest that is there. The field's name is made when it is needed.
    pub fn one<N: Display>(&self, field: impl Fn() -> N, digest: &DigestView<'_>) -> Result<Digest, ConnectError> {
        let found = DigestFunction::from_wire_or_infer(self.function, digest.hash.len())
            .and_then(|function| Digest::parse(function, digest.hash, digest.size_bytes));
        match found {
            Ok(found) => self.accept(found),
            Err(error) => Err(invalid(&field().to_string(), &error)),
        }
    }

    fn accept(&self, digest: Digest) -> Result<Digest, ConnectError> {
        if self.md5 { Ok(digest) } else { accept(digest) }
    }
}

/// Refuses a digest of MD5 where it is not switched on.
pub fn accepted(app: &App, digest: Digest) -> Result<Digest, ConnectError> {
    if app.cache_config.md5 { Ok(digest) } else { accept(digest) }
}

fn accept(digest: Digest) -> Result<Digest, ConnectError> {
    if digest.function() != DigestFunction::Md5 {
        return Ok(digest);
    }
    Err(ConnectError::invalid_argument("digest_function: MD5 is not accepted here; --cache-md5 allows it"))
}

/// The functions that are accepted.
pub fn functions(app: &App) -> impl Iterator<Item = DigestFunction> + use<> {
    let md5 = app.cache_config.md5;
    DigestFunction::ALL.into_iter().filter(move |function| md5 || *function != DigestFunction::Md5)
}

/// A digest as messages have it.
pub fn shown(digest: &Digest) -> wire::Digest {
    wire::Digest { hash: digest.hex(), size_bytes: digest.size_wire(), ..Default::default() }
}

/// A fault with the path to its field: `blob_digests[3].hash: ...`.
fn invalid(field: &str, error: &DigestError) -> ConnectError {
    let message = error.to_string();
    let (part, message) = match message.split_once(": ") {
        Some((part, rest)) => (part.trim_start_matches("digest "), rest),
        None => ("", &*message),
    };
    ConnectError::invalid_argument(match (error, part) {
        (DigestError::Function(_), _) => format!("digest_function: {message}"),
        (_, "") => format!("{field}: {message}"),
        (_, part) => format!("{field}.{part}: {message}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(function: i32, hash: &str, size_bytes: i64) -> String {
        let digests = Digests { function, md5: false };
        let view = DigestView { hash, size_bytes, ..Default::default() };
        digests.one(|| "blob_digests[3]", &view).expect_err("a fault").message.unwrap_or_default()
    }

    #[test]
    fn a_fault_names_its_field() {
        let good = Digest::of(DigestFunction::Sha256, b"x").hex();
        assert_eq!(
            fault(1, &good.to_uppercase(), 1).split(": ").next(),
            Some("blob_digests[3].hash"),
            "{}",
            fault(1, &good.to_uppercase(), 1)
        );
        assert!(fault(1, &good[1..], 1).starts_with("blob_digests[3].hash: sha256 has 64 hex digits, not 63"));
        assert!(fault(0, &good[1..], 1).starts_with("blob_digests[3].hash: no digest function was named"));
        assert!(fault(1, &good.replace('2', "g"), 1).starts_with("blob_digests[3].hash: no hex digit"));
        assert!(fault(1, &good, -1).starts_with("blob_digests[3].size_bytes: -1 is negative"));
        assert!(fault(7, &good, 1).starts_with("digest_function: digest function 7 is not supported"));
        assert!(fault(0, &good[..32], 1).starts_with("digest_function: MD5"));
    }
}
