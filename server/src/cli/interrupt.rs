//! Ctrl-C: the first is reported, so that a command can end what it began; the second leaves at once.

use tokio::sync::mpsc;

use super::{exit::Exit, output::say};

/// Reports the first Ctrl-C.
pub struct Interrupts(mpsc::Receiver<()>);

impl Interrupts {
    /// Takes Ctrl-C over from the terminal's default. Needs the runtime.
    pub fn watch() -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            _ = sender.send(()).await;
            if tokio::signal::ctrl_c().await.is_ok() {
                leave();
            }
        });
        Self(receiver)
    }

    /// Ends at the first Ctrl-C; never after it.
    pub async fn first(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the second Ctrl-C leaves whatever hangs, the output included")]
fn leave() -> ! {
    say("left; what was asked for goes on at the server");
    std::process::exit(i32::from(Exit::Interrupted as u8))
}
