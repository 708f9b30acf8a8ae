//! Any bytes: no panic, and every place is inside the file.

use proptest::prelude::*;

use super::super::{JobContexts, Workflow, decide, expand, plan};

/// Pieces that come near a workflow, so that the readers behind the YAML are reached.
const PIECES: [&str; 44] = [
    "jobs:\n",
    "  a:\n",
    "    runs-on: x\n",
    "    steps:\n",
    "      - run: echo\n",
    "      - uses: actions/checkout@v4\n",
    "        with:\n",
    "          path: ",
    "    needs: [a, b]\n",
    "    needs: a\n",
    "  b:\n",
    "    if: ",
    "    strategy:\n",
    "      matrix:\n",
    "        os: [a, b]\n",
    "        include:\n",
    "          - os: c\n",
    "on:\n",
    "  push:\n",
    "  schedule:\n",
    "    - cron: '0 0 * * *'\n",
    "env:\n",
    "  A: ",
    "${{ ",
    " }}",
    "github.ref",
    "matrix.os",
    "&a ",
    "*a",
    "|\n",
    ">\n",
    "'",
    "\"",
    "\t",
    "\r\n",
    "\n",
    "  ",
    "ü",
    "[",
    "{",
    "]",
    "}",
    ": ",
    "\u{FEFF}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn text(text in "[ -~\\n\\tü:\\-\\[\\]{}'\"|>&*$]{0,200}") {
        check(text.as_bytes());
    }

    #[test]
    fn near_workflows(pieces in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..40)) {
        check(pieces.concat().as_bytes());
    }

    #[test]
    fn a_workflow_with_a_hole(at in 0_usize..900, length in 0_usize..12, piece in proptest::sample::select(PIECES.to_vec())) {
        let whole = include_str!("whole.yml");
        let cut = |at: usize| whole.floor_char_boundary(at.min(whole.len()));
        let text = format!("{}{piece}{}", &whole[..cut(at)], &whole[cut(at + length)..]);
        check(text.as_bytes());
    }
}

#[test]
fn the_whole_one_is_right() {
    let found = Workflow::parse("whole.yml", include_bytes!("whole.yml"));
    let (_, warnings) = found.expect("parses");
    assert_eq!(warnings, []);
}

#[test]
fn the_examples_are_right() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let files = std::fs::read_dir(folder).expect("examples").map(|entry| entry.expect("entry").path());
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "yml")) {
        let text = std::fs::read(&file).expect("reads");
        let found = Workflow::parse(&file.to_string_lossy(), &text);
        assert_eq!(found.map(|(_, warnings)| warnings), Ok(Vec::new()), "{}", file.display());
    }
}

fn check(bytes: &[u8]) {
    match Workflow::parse("w.yml", bytes) {
        Ok((workflow, warnings)) => {
            inside(bytes, &warnings);
            use_it(&workflow);
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            inside(bytes, &diagnostics);
        }
    }
}

fn inside(bytes: &[u8], diagnostics: &[super::Diagnostic]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split('\n').collect();
    for found in diagnostics {
        let line = lines.get(found.line as usize - 1).unwrap_or_else(|| panic!("{found}\n{text}"));
        assert!(found.column >= 1 && found.column as usize <= line.chars().count() + 1, "{found}\n{text}");
    }
}

/// What parses can be decided about and planned without a panic, too.
fn use_it(workflow: &Workflow) {
    let contexts = JobContexts::default();
    let _ = decide::run_name(workflow, &contexts);
    for job in workflow.jobs.values() {
        let _ = decide::runs(workflow, job, &contexts);
        for row in expand::matrix(workflow, job, &contexts).unwrap_or_default() {
            let _ = plan::task_content(workflow, job, &row, &contexts);
        }
    }
}
