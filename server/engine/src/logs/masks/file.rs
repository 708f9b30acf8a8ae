//! The file an operator writes secrets into. Pure text.

/// The values of a mask file: one a line, spaces around it left out; empty lines and those that begin with `#` are none. A
/// value that begins with `#` or a backslash has a backslash before it.
pub fn mask_file_values(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| line.strip_prefix('\\').unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_line() {
        let text = "\u{feff}# comment\r\nhunter2\r\n\r\n  two words  \n\\#hash\n\\\\back\nlast";
        let values: Vec<&str> = mask_file_values(text).collect();
        assert_eq!(values, ["hunter2", "two words", "#hash", "\\back", "last"]);
        assert_eq!(mask_file_values("").count(), 0);
    }
}
