//! The shells that scripts are written for: where they are, how each is called, and what a script needs to behave the
//! same in all of them. The command lines are GitHub's. Knows nothing of environment variables but PATH.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::environment::Environment;

const BASH: &str = "bash --noprofile --norc -eo pipefail {0}";
const BASH_DEFAULT: &str = "bash -e {0}";
const SH: &str = "sh -e {0}";
const PWSH: &str = "pwsh -command \". '{0}'\"";
const POWERSHELL: &str = "powershell -command \". '{0}'\"";
const PYTHON: &str = "python {0}";
const PYTHON3: &str = "python3 {0}";
const CMD: &str = "cmd /D /E:ON /V:OFF /S /C \"CALL \"{0}\"\"";

/// A shell that is there.
#[derive(Debug)]
pub struct Shell {
    kind: Kind,
    program: PathBuf,
    arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Posix,
    PowerShell,
    Cmd,
    Python,
    Other,
}

impl Shell {
    /// Finds the shell by the name or command line in the workflow; empty: the platform's default.
    pub fn find(wanted: &str, environment: &Environment, folder: &Path) -> Result<Self, String> {
        let wanted = wanted.trim();
        let candidates: &[(Kind, &str)] = match wanted.to_ascii_lowercase().as_str() {
            "" if cfg!(windows) => &[(Kind::PowerShell, PWSH), (Kind::PowerShell, POWERSHELL), (Kind::Cmd, CMD)],
            "" => &[(Kind::Posix, BASH_DEFAULT), (Kind::Posix, SH)],
            "bash" => &[(Kind::Posix, BASH)],
            "sh" => &[(Kind::Posix, SH)],
            "pwsh" => &[(Kind::PowerShell, PWSH)],
            "powershell" => &[(Kind::PowerShell, POWERSHELL)],
            "python" => &[(Kind::Python, PYTHON), (Kind::Python, PYTHON3)],
            "cmd" => &[(Kind::Cmd, CMD)],
            _ => &[],
        };
        if candidates.is_empty() {
            if !wanted.contains("{0}") {
                return Err(format!(
                    "unknown shell `{wanted}`: bash, sh, pwsh, powershell, cmd, python, or a command line with {{0}} \
                     where the script's file goes"
                ));
            }
            return Self::of_line(Kind::Other, wanted, environment, folder);
        }
        let mut missing = String::new();
        for (kind, line) in candidates {
            match Self::of_line(*kind, line, environment, folder) {
                Ok(shell) => return Ok(shell),
                Err(error) if missing.is_empty() => missing = error,
                Err(_) => {}
            }
        }
        Err(missing)
    }

    fn of_line(kind: Kind, line: &str, environment: &Environment, folder: &Path) -> Result<Self, String> {
        let mut words = if kind == Kind::Cmd { vec!["cmd".to_owned()] } else { words(line)? };
        if words.is_empty() {
            return Err("the shell's command line is empty".to_owned());
        }
        let name = words.remove(0);
        let program = find_program(&name, environment, folder)
            .ok_or_else(|| format!("shell `{name}` was not found in the job's PATH on this runner"))?;
        Ok(Self { kind, program, arguments: words })
    }

    /// The command line as the log shows it.
    pub fn shown(&self) -> String {
        let program = self.program.display();
        if self.kind == Kind::Cmd {
            return format!("{program}{}", &CMD["cmd".len()..]);
        }
        let quoted =
            self.arguments.iter().map(|word| if word.contains(' ') { format!("\"{word}\"") } else { word.clone() });
        format!("{program} {}", quoted.collect::<Vec<_>>().join(" "))
    }

    /// The name of a script's file.
    pub fn file_name(&self) -> &'static str {
        match self.kind {
            Kind::Posix => "script.sh",
            Kind::PowerShell => "script.ps1",
            Kind::Cmd => "script.cmd",
            Kind::Python => "script.py",
            Kind::Other => "script",
        }
    }

    /// The script as it is written to the file: with what makes the shell stop at the first error.
    pub fn script(&self, text: &str) -> String {
        let text = match self.kind {
            Kind::Cmd => format!("@echo off\n{text}\n"),
            Kind::PowerShell => format!(
                "$ErrorActionPreference = 'stop'\n{text}\n\
                 if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) {{ exit $LASTEXITCODE }}\n"
            ),
            _ if text.ends_with('\n') => text.to_owned(),
            _ => format!("{text}\n"),
        };
        let text = text.replace("\r\n", "\n");
        if self.kind == Kind::Cmd || (cfg!(windows) && self.kind == Kind::PowerShell) {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    }

    /// The command that runs a script.
    pub fn command(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.program);
        let script = script.to_string_lossy();
        if self.kind == Kind::Cmd {
            self.cmd_arguments(&mut command, &script);
        } else {
            command.args(self.arguments.iter().map(|word| word.replace("{0}", &script)));
        }
        command
    }

    /// cmd reads its command line by rules of its own: quoting it again would break it.
    #[cfg(windows)]
    fn cmd_arguments(&self, command: &mut Command, script: &str) {
        let _ = self;
        command.raw_arg(CMD["cmd ".len()..].replace("{0}", script));
    }

    #[cfg(not(windows))]
    fn cmd_arguments(&self, command: &mut Command, script: &str) {
        let _ = self;
        command.args(["/D", "/E:ON", "/V:OFF", "/S", "/C"]).arg(format!("CALL \"{script}\""));
    }
}

/// A program by the job's PATH.
pub fn find_program(name: &str, environment: &Environment, folder: &Path) -> Option<PathBuf> {
    let path = environment.get("PATH").unwrap_or(OsStr::new(""));
    let mut found = which::which_in_all(name, Some(path), folder).ok()?;
    // Windows' own bash.exe starts a Linux machine, if there is one: not what anybody means by `shell: bash`.
    found.find(|path| !(cfg!(windows) && name == "bash" && is_in_system_folder(path)))
}

fn is_in_system_folder(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|folder| folder.eq_ignore_ascii_case("system32"))
}

/// The words of a command line; double quotes keep words together.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quoted, mut in_word) = (Vec::new(), String::new(), false, false);
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                in_word = true;
            }
            ' ' | '\t' if !quoted => {
                if std::mem::take(&mut in_word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => {
                word.push(other);
                in_word = true;
            }
        }
    }
    if quoted {
        return Err(format!("shell `{line}`: a double quote is not closed"));
    }
    if in_word {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(wanted: &str) -> Result<Shell, String> {
        Shell::find(wanted, &Environment::of_host(&[]), Path::new("."))
    }

    #[test]
    #[cfg(unix)]
    fn command_lines_are_githubs() {
        assert!(shell("").expect("there").shown().ends_with("/bash -e {0}"));
        assert!(shell("bash").expect("there").shown().ends_with("/bash --noprofile --norc -eo pipefail {0}"));
        assert!(shell("sh").expect("there").shown().ends_with("/sh -e {0}"));
        let custom = shell("sh -c \"echo a b\" {0}").expect("there");
        assert_eq!(custom.arguments, ["-c", "echo a b", "{0}"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(shell("fish").expect_err("unknown").contains("unknown shell `fish`"));
        assert!(shell("no-such-shell {0}").expect_err("missing").contains("`no-such-shell` was not found"));
        assert!(shell("sh \"{0}").expect_err("open").contains("not closed"));
        let empty = Environment::default();
        assert!(Shell::find("bash", &empty, Path::new(".")).expect_err("no PATH").contains("`bash` was not found"));
    }

    #[test]
    fn scripts_stop_at_the_first_error() {
        let of = |kind| Shell { kind, program: PathBuf::new(), arguments: Vec::new() };
        assert_eq!(of(Kind::Posix).script("a\r\nb"), "a\nb\n");
        assert_eq!(of(Kind::Cmd).script("a\nb"), "@echo off\r\na\r\nb\r\n");
        assert!(of(Kind::PowerShell).script("a").starts_with("$ErrorActionPreference = 'stop'"));
    }
}
