//! Paths of a Command: relative, with slashes, and never out of the input root. Knows no file system.

/// Why a path is refused, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It starts with a slash.
    #[error("is absolute; paths are relative to the input root")]
    Absolute,
    /// Its `..` lead out.
    #[error("leads out of the input root")]
    Escapes,
    /// It holds a NUL.
    #[error("holds a NUL")]
    Nul,
}

/// Whether a path stays in the input root once it is joined with a directory that does.
pub fn check(directory: &str, path: &str) -> Result<(), BadPath> {
    if path.starts_with('/') {
        return Err(BadPath::Absolute);
    }
    if path.contains('\0') {
        return Err(BadPath::Nul);
    }
    let mut depth = 0_usize;
    for segment in directory.split('/').chain(path.split('/')) {
        match segment {
            "" | "." => {}
            ".." => depth = depth.checked_sub(1).ok_or(BadPath::Escapes)?,
            _ => depth += 1,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_go_up_as_long_as_they_stay_inside() {
        for (directory, path) in
            [("", ""), ("", "a/b"), ("a/b/c", "../../../install"), ("a", ".."), ("", "a/.."), ("", "./a//b/")]
        {
            assert_eq!(check(directory, path), Ok(()), "{directory:?} {path:?}");
        }
        for (directory, path, bad) in [
            ("", "/a", BadPath::Absolute),
            ("", "..", BadPath::Escapes),
            ("a/b", "../../../x", BadPath::Escapes),
            ("", "a/../../a", BadPath::Escapes),
            ("", "a\0b", BadPath::Nul),
        ] {
            assert_eq!(check(directory, path), Err(bad), "{directory:?} {path:?}");
        }
    }
}
