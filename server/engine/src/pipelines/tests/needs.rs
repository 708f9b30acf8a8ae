//! The graph of `needs`.

use super::{concat, parsed, table};

fn jobs(needs: &[(&str, &str)]) -> String {
    let jobs = concat(
        needs
            .iter()
            .map(|(id, needs)| format!("  {id}:\n    needs: {needs}\n    runs-on: x\n    steps: [{{run: echo}}]\n")),
    );
    format!("jobs:\n{jobs}")
}

#[test]
fn faults() {
    table(&[
        (
            &jobs(&[("build", ""), ("test", "biuld")]),
            &["7:12: error: job `test` needs `biuld`, which is not a job (did you mean `build`?)"],
        ),
        (&jobs(&[("a", "[a]")]), &["3:13: error: job `a` needs itself"]),
        (&jobs(&[("a", "b"), ("b", "a")]), &["3:12: error: `needs` form a cycle: a -> b -> a"]),
        (
            &jobs(&[("z", ""), ("a", "[z, c]"), ("b", "a"), ("c", "[b]"), ("d", "c")]),
            &["7:16: error: `needs` form a cycle: a -> c -> b -> a"],
        ),
        (&jobs(&[("a", "{}")]), &["3:12: error: `needs`: expected a string or a list, found a map"]),
    ]);
}

#[test]
fn stages_and_order() {
    let workflow = parsed(&jobs(&[("d", "[b, c]"), ("b", "a"), ("c", "a"), ("a", ""), ("e", "")]));
    let stages: Vec<_> = workflow.jobs.values().map(|job| (job.id.as_str(), job.stage)).collect();
    assert_eq!(stages, [("a", 0), ("e", 0), ("b", 1), ("c", 1), ("d", 2)]);
}
