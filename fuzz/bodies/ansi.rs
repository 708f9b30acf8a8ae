//! Text with escape sequences, torn and mad ones too: what a search sees of it, and what a terminal is given.

#[allow(dead_code, unused_imports)]
#[path = "../../server/src/cli/text.rs"]
mod text;
#[allow(dead_code, unused_imports)]
#[path = "../../server/engine/src/logs/search/visible.rs"]
mod visible;

pub fn run(data: &[u8]) {
    let shown = visible::visible(data);
    assert!(shown.len() <= data.len());
    assert!(!shown.contains(&0x1b) && !shown.contains(&0x07), "what a terminal would not show");
    let lines = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count();
    assert_eq!(lines(&shown), lines(data), "as many lines");
    assert!(visible::visible(&shown) == shown, "once is enough");
    assert!(visible::utf16_len(&shown) <= shown.len());
    // Line by line is the same as all at once.
    let each: Vec<u8> =
        data.split_inclusive(|byte| *byte == b'\n').flat_map(|line| visible::visible(line).into_owned()).collect();
    assert!(each == *shown, "line by line");
    for line in data.split(|byte| *byte == b'\n') {
        let plain = text::clean(line, false);
        assert!(plain.chars().all(|c| c == '\t' || !c.is_control()), "{plain:?}");
        let coloured = text::clean(line, true);
        assert!(coloured.chars().all(|c| c == '\t' || c == '\x1b' || !c.is_control()), "{coloured:?}");
        assert_eq!(text::clean(coloured.as_bytes(), false), plain, "but for colours the same");
        text::show(line, true);
    }
}
