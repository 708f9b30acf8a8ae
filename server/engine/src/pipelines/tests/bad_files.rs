//! Files that are no workflow at all, and files that would be too much of one.

use std::fmt::Write;

use super::{JOB, concat, findings, table};

#[track_caller]
fn one(bytes: impl AsRef<[u8]>, expected: &str) {
    assert_eq!(findings(bytes), [expected]);
}

#[test]
fn not_a_workflow() {
    let empty = "w.yml:1:1: error: the file is empty: a workflow needs `jobs`";
    for text in ["", "\n\n", "# only a comment\n", "---\n", "~"] {
        one(text, empty);
    }
    one("hello world", "w.yml:1:1: error: the workflow: expected a map, found a string");
    one("- a\n- b\n", "w.yml:1:1: error: the workflow: expected a map, found a list");
    one(b"\x7fELF\x02\x01\x00\x00", "w.yml:1:7: error: not a text file: it has a zero byte");
    one(b"name: x\nrun-name: caf\xe9\n", "w.yml:2:14: error: not UTF-8: byte 0xE9");
    one(
        "name: ü\n".encode_utf16().flat_map(u16::to_le_bytes).fold(vec![0xFF, 0xFE], |mut all, byte| {
            all.push(byte);
            all
        }),
        "w.yml:1:1: error: the file is UTF-16: save it as UTF-8",
    );
    one(vec![b'#'; 1_048_577], "w.yml:1:1: error: the file has 1048577 bytes, over the limit of 1048576");
}

#[test]
fn not_yaml() {
    table(&[
        ("{{{{ garbage: [\n - %%%", &["2:2: error: not valid YAML: \"-\" is only valid inside a block"]),
        ("a: b: c\n", &["1:5: error: not valid YAML: mapping values are not allowed in this context"]),
        ("name: 'x\n", &["1:7: error: not valid YAML: unclosed quote"]),
        ("a: b\u{1}c\n", &["1:4: error: not valid YAML: unexpected character: `\\u{1}'"]),
        ("a: *nope\n", &["1:4: error: an alias (`*name`) without its anchor (`&name`) before it"]),
        ("a: &a [*a]\n", &["1:8: error: an alias inside the value that it stands for"]),
        ("? [a]\n: b\n", &["1:5: error: a key must be text, found a list"]),
        ("a: !foo b\n", &["1:4: error: tag `!foo` is not supported: quote a text that starts with `!`"]),
        ("a: 1\n---\nb: 2\n", &["2:1: error: a second document: a file holds one workflow"]),
        ("jobs:\n\ta:\n", &["2:1: error: not valid YAML: a tab in the indentation, which takes only spaces"]),
        (
            "jobs:\n  a:\n    steps:\n\t- run: echo\n",
            &["4:1: error: not valid YAML: a tab in the indentation, which takes only spaces"],
        ),
    ]);
}

#[test]
fn bombs() {
    let mut anchors = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(anchors, "a{level}: &a{level} [{aliases}]").expect("writes");
    }
    one(&anchors, "w.yml:6:15: error: the file comes to more than 200000 values (aliases count each time)");
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 50].join(","));
    one(&text, "w.yml:2:125: error: the file comes to more than 4194304 bytes of text (aliases count each time)");
    let many = format!("a: &a x\nb: [{}]\n", vec!["*a"; 1_001].join(","));
    one(&many, "w.yml:2:3005: error: more than 1000 aliases (`*name`)");
    one("- ".repeat(3_000), "w.yml:1:129: error: nested deeper than 64 levels");
    one(format!("{}{}", "[".repeat(100), "]".repeat(100)), "w.yml:1:65: error: nested deeper than 64 levels");
    // The scanner looks ahead and meets its own limit first.
    one("[".repeat(100_000), "w.yml:1:256: error: nested deeper than 64 levels");
    let deep = concat((0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))));
    one(&deep, "w.yml:65:65: error: nested deeper than 64 levels");
}

#[test]
fn too_many() {
    let jobs = concat((0..501).map(|job| JOB.replacen("a:", &format!("j{job}:"), 1)));
    one(format!("jobs:\n{jobs}"), "w.yml:2:3: error: 501 jobs, over the limit of 500");
    let steps = "      - run: echo\n".repeat(1_000);
    one(format!("jobs:\n{JOB}{steps}"), "w.yml:5:7: error: 1001 steps, over the limit of 1000 a job");
    let keys = concat((0..5_000).map(|key| format!("k{key}: 1\n")));
    assert_eq!(findings(&keys).len(), 100);
    let twice = "name: x\n".repeat(5_000);
    assert_eq!(findings(&twice).len(), 100);
}

#[test]
fn line_ends_and_byte_order_mark() {
    let text = format!("name: x\njobs:\n{JOB}");
    let none: [String; 0] = [];
    assert_eq!(findings(text.replace('\n', "\r\n")), none);
    assert_eq!(findings(format!("\u{FEFF}{text}")), none);
    assert_eq!(findings(text.trim_end()), none);
    one(
        format!("{text}      - run: |\n          ü ${{{{ nope() }}}}\n").replace('\n', "\r\n"),
        "w.yml:8:17: error: expression: unknown function `nope`",
    );
    one(
        format!("\u{FEFF}nmae: x\njobs:\n{JOB}"),
        "w.yml:1:1: error: unknown key `nmae` in the workflow (did you mean `name`?)",
    );
}

#[test]
fn a_large_file_of_expressions_is_checked_in_one_walk() {
    let chain = vec!["github.a"; 2_000].join("||");
    let script = concat((0..50).map(|_| format!("          ${{{{ {chain} }}}}\n")));
    let text = format!("jobs:\n{JOB}      - run: |\n{script}");
    let started = std::time::Instant::now();
    assert_eq!(findings(&text), Vec::<String>::new());
    // Quadratic work would take minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
