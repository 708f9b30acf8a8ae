//! Which names a file may have here. Knows nothing of what has them.

/// The longest name.
const NAME_MAX_BYTES: usize = 255;

/// Whether names that differ in case only are one name here.
const CASELESS: bool = cfg!(any(windows, target_os = "macos"));

/// What goes behind "the name is there twice".
pub const FOLDING: &str = if CASELESS { " (upper and lower case are the same on this system)" } else { "" };

/// Why a name cannot be had; nothing: it can.
pub fn check(name: &str) -> Result<(), &'static str> {
    if matches!(name, "" | "." | "..") {
        return Err("a name must not be empty, \".\" or \"..\"");
    }
    if name.bytes().any(|byte| matches!(byte, b'/' | 0)) {
        return Err("a name must not hold a slash or a NUL");
    }
    if name.len() > NAME_MAX_BYTES {
        return Err("a name has at most 255 bytes");
    }
    if cfg!(windows) { check_windows(name) } else { Ok(()) }
}

/// What is the same for two names that are one name here.
pub fn folded(name: &str) -> String {
    if CASELESS { name.to_lowercase() } else { name.to_owned() }
}

/// Names that Windows takes for something else.
fn check_windows(name: &str) -> Result<(), &'static str> {
    if name.chars().any(|letter| letter < ' ' || r#"<>:"\|?*"#.contains(letter)) {
        return Err("a name on Windows must not hold a control character or one of <>:\"\\|?*");
    }
    if name.ends_with(['.', ' ']) {
        return Err("a name on Windows must not end with a dot or a space");
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        let digit =
            |rest: &str| matches!(rest, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³");
        stem.strip_prefix(prefix).is_some_and(digit)
    };
    let device = matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$");
    if device || numbered("COM") || numbered("LPT") {
        return Err("a name on Windows must not be that of a device");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_system_has() {
        for bad in ["", ".", "..", "a/b", "/", "a\0b", &"x".repeat(256)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "...", ".a", "ä b", &"x".repeat(255)] {
            assert!(check(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn names_that_windows_takes_for_something_else() {
        let devices = ["CON", "nul.txt", "Com1", "LPT9.a.b", "aux ", "COM¹", "conin$"];
        for bad in ["a\\b", "a:b", "c:", "a.", "a ", "a?", "a\u{1}"].into_iter().chain(devices) {
            assert!(check_windows(bad).is_err(), "{bad:?}");
        }
        for good in ["console", "com10", "a.con", "nulls", ".a"] {
            assert!(check_windows(good).is_ok(), "{good:?}");
        }
    }
}
