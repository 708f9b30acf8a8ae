//! The file an operator writes secrets into. Pure text.

/// A value of a mask file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MaskFileValue<'t> {
    /// Its line, from 1.
    pub line: usize,
    /// The secret.
    pub value: &'t str,
}

/// The values of a mask file: one a line, spaces around it left out; empty lines and those that begin with `#` are none. A
/// value that begins with `#` or a backslash has a backslash before it.
pub fn mask_file_values(text: &str) -> impl Iterator<Item = MaskFileValue<'_>> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    (1..)
        .zip(lines)
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| MaskFileValue { line, value: text.strip_prefix('\\').unwrap_or(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_line() {
        let text = "\u{feff}# comment\r\nhunter2\r\n\r\n  two words  \n\\#hash\n\\\\back\nlast";
        let values: Vec<(usize, &str)> = mask_file_values(text).map(|value| (value.line, value.value)).collect();
        assert_eq!(values, [(2, "hunter2"), (4, "two words"), (5, "#hash"), (6, "\\back"), (7, "last")]);
        assert_eq!(mask_file_values("").count(), 0);
    }
}
