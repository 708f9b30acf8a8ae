//! The Windows program under Wine: registers, runs `cmd`, streams its log live, is cancelled, and its process tree is
//! gone. Builds the program itself.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use millrace_proto::task_content::Action;
use tempfile::TempDir;

use crate::fake_server::FakeServer;
use crate::fixture::{folder, sh, task};

const TARGET: &str = "x86_64-pc-windows-gnu";
const COMPILER: &str = "x86_64-w64-mingw32-gcc";
const INSTALL: &str = "the Windows test needs: apt-get install wine gcc-mingw-w64-x86-64 && rustup target add \
                       x86_64-pc-windows-gnu";

/// A Wine of its own: nothing in it outlives the test.
struct Wine {
    home: TempDir,
}

impl Wine {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("WINEPREFIX", self.home.path().join("prefix"));
        // No questions, no windows, no debug output.
        command.env("WINEDEBUG", "-all").env("WINEDLLOVERRIDES", "mscoree,mshtml=").env("DISPLAY", "");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Best effort: it ends by itself a few seconds after its last program.
        let _ended = self.command("wineserver").arg("-k").status();
        let _ended = self.command("wineserver").arg("-w").status();
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Mostly it has ended long ago.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn must(what: &mut Command) {
    let output = what.output().unwrap_or_else(|error| panic!("{INSTALL} ({what:?}: {error})"));
    assert!(output.status.success(), "{INSTALL}\n{what:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The program and what stands in for the library that Wine lacks, in one folder.
fn build(into: &Path) -> PathBuf {
    for tool in ["wine", "wineserver", COMPILER] {
        assert!(which::which(tool).is_ok(), "{INSTALL} ({tool} is missing)");
    }
    // target/debug/millrace-runner -> target
    let target = Path::new(env!("CARGO_BIN_EXE_millrace-runner")).ancestors().nth(2).expect("a target folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "-p", "millrace-runner", "--bin", "millrace-runner", "--target", TARGET]);
    must(cargo.arg("--target-dir").arg(target).current_dir(root));
    let program = into.join("millrace-runner.exe");
    std::fs::copy(target.join(TARGET).join("debug/millrace-runner.exe"), &program).expect("copies the program");
    let library = into.join("bcryptprimitives.dll");
    must(
        Command::new(COMPILER)
            .args(["-shared", "-o"])
            .arg(library)
            .arg(root.join("tests/wine/bcryptprimitives.c"))
            .arg("-ladvapi32"),
    );
    program
}

/// Processes with a word in their command line.
fn processes_with(word: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("Linux");
    let lines = entries.flatten().filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(word)).collect()
}

fn cmd(script: &str) -> Action {
    Action { shell: "cmd".to_owned(), ..sh(script) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_windows_program_streams_and_is_cancelled() {
    let programs = folder();
    let program = tokio::task::block_in_place(|| build(programs.path()));
    let wine = Wine { home: folder() };
    let (server, data) = (FakeServer::start().await, folder());
    let mut command = wine.command("wine");
    command.arg(&program).args(["--server", &server.url(), "--token", "registration", "--data"]);
    command.arg(format!("Z:{}", data.path().display()));
    let mut running = Running(command.spawn().expect("starts"));
    server.wait_for("the registration", |heard| heard.registrations.first().cloned()).await;
    let declared = server.wait_for("the declaration", |heard| heard.declarations.first().cloned()).await;
    assert_eq!((declared.os.as_str(), declared.arch.as_str()), ("windows", "amd64"));

    // Live: the row is here while the script still waits.
    let job = task([
        cmd("echo ready\r\n:again\r\nif exist go goto done\r\nping -n 1 127.0.0.1 > nul\r\ngoto again\r\n:done\r\n\
             echo ::error file=a.txt,line=1::said\r\necho to-stderr 1>&2\r\necho name=value>> %GITHUB_OUTPUT%\r\n\
             echo %RUNNER_OS% %CI%"),
        cmd("echo ${{ steps.first.outputs.name }}\r\nexit 5"),
    ]);
    let mut job = job;
    job.actions[0].id = Some("first".to_owned());
    server.give(&job);
    server.row(&job.tx_uuid, "ready").await;
    std::fs::write(data.path().join("work").join(&job.tx_uuid).join("go"), "").expect("writes");
    assert_eq!(server.final_state(&job.tx_uuid).await.state, "failure");
    let rows = server.rows(&job.tx_uuid, 0);
    let texts = rows.iter().map(|row| row.text.trim_end()).collect::<Vec<_>>();
    for text in ["ready", "##[error]said (a.txt:1)", "to-stderr", "Windows true"] {
        assert!(texts.contains(&text), "{text}: {texts:?}");
    }
    assert!(rows.iter().any(|row| row.stderr && row.text.starts_with("to-stderr")));
    let texts = server.texts(&job.tx_uuid, 1);
    assert_eq!(texts[0].trim_end(), "value", "{texts:?}");
    assert_eq!(texts[1..], ["##[error]Process completed with exit code 5."]);

    // A tree: cmd, a cmd in the background, and the programs of both.
    let word = uuid::Uuid::new_v4().simple().to_string();
    let tree = cmd(&format!(
        "start /b cmd /c \"ping -n 600 127.0.0.1 > nul & rem {word}\"\r\necho ready\r\nping -n 600 127.0.0.1 > nul & rem {word}"
    ));
    let mut job = task([tree]);
    job.cancel_grace_ms = 2_000;
    server.give(&job);
    server.row(&job.tx_uuid, "ready").await;
    assert!(!processes_with(&word).is_empty() && !processes_with("ping").is_empty());
    server.set(|heard| {
        heard.cancelled.insert(job.tx_uuid.clone());
    });
    assert_eq!(server.final_state(&job.tx_uuid).await.state, "cancelled");
    assert_eq!(processes_with(&word), Vec::<String>::new());
    assert_eq!(processes_with("-n 600 127.0.0.1"), Vec::<String>::new());

    server.forget_runners();
    let status = tokio::task::spawn_blocking(move || running.0.wait().expect("ends")).await.expect("no panic");
    assert_eq!(status.code(), Some(4));
    for folder in ["work", "temp"] {
        assert_eq!(std::fs::read_dir(data.path().join(folder)).expect("there").count(), 0, "left in {folder}");
    }
}
