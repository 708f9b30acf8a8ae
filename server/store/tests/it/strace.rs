//! What strace writes, put in order.

use std::collections::BTreeMap;

/// Puts the halves of calls that were interrupted in the trace together, at the place where they returned.
pub fn whole_calls(trace: &str) -> Vec<String> {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut whole = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(first) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, first);
        } else if let Some(resumed) = call.strip_prefix("<... ") {
            let rest = resumed.split_once("resumed>").map_or("", |(_, rest)| rest);
            whole.push(format!("{}{rest}", begun.remove(thread).unwrap_or_default()));
        } else {
            whole.push(call.to_owned());
        }
    }
    whole
}
