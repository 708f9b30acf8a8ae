//! What this machine is, in the words of labels, of the protocol and of the `runner` context. Knows nothing of
//! configuration.

use std::env::consts::{ARCH, OS};

/// The machine's name; `runner` when it has none.
pub fn hostname() -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    if name.is_empty() { "runner".to_owned() } else { name.chars().take(crate::config::NAME_MAX_CHARS).collect() }
}

/// The labels every runner on this machine serves: true statements about the machine and nothing else.
pub fn labels() -> Vec<String> {
    let mut labels = vec!["self-hosted".to_owned(), os().to_owned(), arch().to_owned()];
    let aliases: &[&str] = match (OS, ARCH) {
        ("macos", "aarch64") => &["macos", "aarch64"],
        ("macos", "x86_64") => &["macos", "x64"],
        (_, "x86_64") => &["x64"],
        (_, "aarch64") => &["aarch64"],
        _ => &[],
    };
    labels.extend(aliases.iter().map(|alias| (*alias).to_owned()));
    let host = hostname();
    if !labels.contains(&host) {
        labels.push(host);
    }
    labels
}

/// The operating system as in GOOS.
pub fn os() -> &'static str {
    if OS == "macos" { "darwin" } else { OS }
}

/// The processor as in GOARCH.
pub fn arch() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// What the machine offers to actions, in the spellings that build tools use.
pub fn properties() -> Vec<(&'static str, &'static str)> {
    let os: &[&str] = match OS {
        "linux" => &["linux", "Linux"],
        "macos" => &["macos", "macOS", "darwin", "Darwin"],
        "windows" => &["windows", "Windows"],
        other => &[other],
    };
    let arch: &[&str] = match ARCH {
        "x86_64" => &["x86-64", "x86_64", "amd64"],
        "aarch64" => &["arm-a64", "aarch64", "arm64"],
        other => &[other],
    };
    let os = os.iter().map(|os| ("OSFamily", *os));
    os.chain(arch.iter().flat_map(|arch| [("ISA", *arch), ("Arch", *arch)])).collect()
}

/// `runner.os`.
pub fn runner_os() -> &'static str {
    match OS {
        "linux" => "Linux",
        "macos" => "macOS",
        "windows" => "Windows",
        other => other,
    }
}

/// `runner.arch`.
pub fn runner_arch() -> &'static str {
    match ARCH {
        "x86_64" => "X64",
        "aarch64" => "ARM64",
        "x86" => "X86",
        "arm" => "ARM",
        other => other,
    }
}
