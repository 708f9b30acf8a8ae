//! `millrace serve`: the server by itself, where tokens are needed.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::auth::session::{self, Sessions};
use crate::config::{Config, RawConfig};
use crate::http::{self, Port, Tls};
use crate::open_files;

/// How long a preset registration token is good, in milliseconds: until it is preset no more, in effect.
const PRESET_TOKEN_MS: i64 = 10 * 365 * 24 * 3_600_000;

/// The arguments of `millrace serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// What can also stand in the file
    #[command(flatten)]
    pub raw: RawConfig,
    /// A TOML file with the same settings
    #[arg(long, env = "MILLRACE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A server that has its port and is about to serve.
pub struct Server {
    /// What it is made of.
    pub app: Arc<App>,
    /// `http://127.0.0.1:8080`.
    pub url: String,
    port: Port,
    router: axum::Router,
}

/// Opens everything a configuration names and binds the port.
pub async fn open(config: &Config) -> Result<Server> {
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    // The port first: a second server on the same data folder ends here.
    let port = Port::bind(config.listen, tls).await?;
    let app = App::open(config).await?;
    if let Some(token) = &config.registration_token {
        let until = app.clock.now_ms() + PRESET_TOKEN_MS;
        app.runners.preset_registration_token(token, true, until).await?;
    }
    app.scheduler.recover().await?;
    let router = http::router(&app, config.tls.is_some())?;
    let url = format!("{}://{}", port.scheme(), port.address()?);
    Ok(Server { app, url, port, router })
}

impl Server {
    /// Serves until `stop` is cancelled, then ends in order. The only way to serve.
    pub async fn run(self, stop: CancellationToken) {
        let ticking = self.app.start();
        http::serve(self.port, Arc::clone(&self.app), self.router, stop.cancelled_owned()).await;
        // The ticker ends with the app's own stop.
        let _ = ticking.await;
        self.app.close().await;
    }
}

/// Runs `millrace serve`.
pub async fn serve(args: ServeArgs) -> Result<()> {
    let raw = match &args.config {
        Some(path) => args.raw.or_file(path)?,
        None => args.raw,
    };
    let config = raw.resolve(false)?;
    open_files::raise_limit();
    let server = open(&config).await?;
    // Before anybody is told that there is a server to stop.
    let stop = stop_on_signal()?;
    println!("listening on {}", server.url);
    announce_first_start(&server, &config).await?;
    server.run(stop).await;
    Ok(())
}

/// At the first start nobody has a token: who reads this output may come in once.
async fn announce_first_start(server: &Server, config: &Config) -> Result<()> {
    let app = &server.app;
    let sessions =
        Sessions { gate: Arc::clone(&app.gate), clock: Arc::clone(&app.clock), secure: config.tls.is_some() };
    if app.gate.tokens.store().list_tokens().await?.is_empty() {
        let secret = session::new_login_link(&sessions).await?;
        println!(
            "first start: open {}/login?token={secret} to sign in as administrator (once, within 24 hours)",
            server.url
        );
        println!("or make a token: millrace token create --role admin --data {}", config.data.display());
    }
    Ok(())
}

/// Cancelled by Ctrl-C or SIGTERM. A second signal ends the process at once.
pub fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    #[cfg(unix)]
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("no signals")?;
    #[cfg(windows)]
    let mut terminate = tokio::signal::windows::ctrl_close().context("no signals")?;
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            if again {
                tracing::warn!("a second signal: stopping at once");
                #[allow(clippy::disallowed_methods, reason = "the person asked twice")]
                std::process::exit(130);
            }
            tracing::info!("stopping: requests may end");
            told.cancel();
        }
    });
    Ok(stop)
}
