//! The name of a cached file, from which the cache is built again at the next start. Knows nothing of folders.

use millrace_proto::digest::{Digest, DigestFunction};

use super::Key;

const EXECUTABLE: &str = ".x";

/// `sha256-{hash}-{size}`, and `.x` behind it for what can be run.
pub fn of(key: &Key) -> String {
    let digest = &key.digest;
    let tail = if key.executable { EXECUTABLE } else { "" };
    format!("{}-{}-{}{tail}", digest.function().path_segment(), digest.hex(), digest.size())
}

/// The key of a name.
pub fn parse(name: &str) -> Option<Key> {
    let (rest, executable) = name.strip_suffix(EXECUTABLE).map_or((name, false), |rest| (rest, true));
    let mut parts = rest.split('-');
    let function = DigestFunction::from_path_segment(parts.next()?)?;
    let (hash, size) = (parts.next()?, parts.next()?.parse().ok()?);
    let digest = Digest::parse(function, hash, size).ok()?;
    let key = Key { digest, executable };
    // One spelling each: "+1" and "01" are numbers, too.
    (parts.next().is_none() && of(&key) == name).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written() {
        for function in DigestFunction::ALL {
            for executable in [false, true] {
                let key = Key { digest: Digest::of(function, b"some"), executable };
                assert_eq!(parse(&of(&key)), Some(key));
            }
        }
        let good = of(&Key { digest: Digest::of(DigestFunction::Md5, b"some"), executable: false });
        for bad in ["", "x", "md5", "md5-", &good.replace("-4", "-04"), &format!("{good}-"), &format!("{good}.y")] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
