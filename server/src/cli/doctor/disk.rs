//! Check of the disk that the data folder is on.

use std::path::Path;

use super::Check;

/// Below it the server will soon refuse to write.
const FREE_MIN_BYTES: u64 = 1 << 30;
const FREE_NOTABLE_BYTES: u64 = 10 << 30;

/// Room for blobs and logs.
pub fn space(data: &Path) -> Check {
    match fs4::available_space(data) {
        Ok(free) => judge(data, free),
        Err(error) => Check::failed("disk", format!("{}: {error}", data.display()), "name the server's data folder"),
    }
}

fn judge(data: &Path, free: u64) -> Check {
    let found = format!("{:.1} GiB free for {}", free as f64 / (1_u64 << 30) as f64, data.display());
    if free < FREE_MIN_BYTES {
        Check::failed("disk", found, "make room: below 1 GiB the server refuses blobs, then logs")
    } else if free < FREE_NOTABLE_BYTES {
        Check::warning("disk", found, "make room before the cache fills it")
    } else {
        Check::fine("disk", found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn room_is_judged_by_what_is_left() {
        let verdict = |free| judge(Path::new("d"), free).verdict;
        assert_eq!(verdict(FREE_MIN_BYTES - 1), Verdict::Failed);
        assert_eq!(verdict(FREE_MIN_BYTES), Verdict::Warning);
        assert_eq!(verdict(FREE_NOTABLE_BYTES), Verdict::Fine);
        assert!(judge(Path::new("d"), 3 << 29).found.starts_with("1.5 GiB free"));
    }

    #[test]
    fn a_folder_that_is_not_there_fails() {
        assert_eq!(space(Path::new("/no/such/folder")).verdict, Verdict::Failed);
        assert_ne!(space(&std::env::temp_dir()).found, "");
    }
}
