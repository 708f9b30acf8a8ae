//! `millrace token`: makes, lists and takes back tokens, offline against the data folder; a running server sees it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use millrace_engine::clock::{Clock, SystemClock};
use millrace_engine::runners::Runners;
use millrace_engine::tokens::TokenStore;
use millrace_store::sqlite::SqliteStore;

use super::Role;
use super::jwt::{Issue, TTL_MAX_DAYS, Tokens};
use crate::config;

const DAY_MS: i64 = 24 * 3_600_000;

/// The arguments of `millrace token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it, alone; it is shown this once
    Create(CreateArgs),
    /// List API tokens (not their secrets)
    List(Folder),
    /// Take an API token back
    Revoke {
        /// The token's id, from `millrace token list`
        id: String,
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Args)]
struct Folder {
    /// The server's data folder
    #[arg(long, env = "MILLRACE_DATA", default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// The server's database, if it is not in the data folder
    #[arg(long, env = "MILLRACE_DATABASE", value_name = "URL")]
    database: Option<String>,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// What it may do; `runner` makes a registration token for millrace-runner
    #[arg(long)]
    role: Role,
    /// What it is for, for people
    #[arg(long, default_value = "")]
    label: String,
    /// The only project it is good for [default: all]
    #[arg(long, default_value = "")]
    project: String,
    /// How many days it is good
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=TTL_MAX_DAYS), value_name = "DAYS")]
    days: u64,
    /// With --role runner: it registers any number of runners, not one
    #[arg(long)]
    reusable: bool,
    #[command(flatten)]
    folder: Folder,
}

/// Runs `millrace token`.
pub async fn token(args: TokenArgs) -> Result<()> {
    match args.command {
        TokenCommand::Create(create) => {
            println!("{}", make(create).await?);
            Ok(())
        }
        TokenCommand::List(folder) => list(&folder).await,
        TokenCommand::Revoke { id, folder } => {
            let store = open(&folder).await?;
            store.revoke(&id).await?;
            store.close().await;
            println!("token {id} is revoked");
            Ok(())
        }
    }
}

async fn make(args: CreateArgs) -> Result<String> {
    let store = open(&args.folder).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ttl_ms = args.days as i64 * DAY_MS;
    let token = if args.role == Role::Runner {
        if !args.project.is_empty() || !args.label.is_empty() {
            bail!("--role runner makes a registration token: it has no --project and no --label");
        }
        Runners::new(Arc::new(store.clone()), clock).create_registration_token(args.reusable, ttl_ms).await?.0
    } else {
        if args.reusable {
            bail!("--reusable is for --role runner: other tokens can be used any number of times");
        }
        let tokens = Tokens::open(&args.folder.data, Arc::new(store.clone()), clock)?;
        let label = if args.label.is_empty() { args.role.word().to_owned() } else { args.label };
        tokens.issue(Issue { label, role: args.role, project: args.project, ttl_ms }).await?
    };
    store.close().await;
    Ok(token)
}

async fn list(folder: &Folder) -> Result<()> {
    let store = open(folder).await?;
    println!("{:<36}  {:<12}  {:<8}  {:<20}  PROJECT", "ID", "ROLE", "STATE", "LABEL");
    let now = SystemClock.now_ms();
    for token in store.list_tokens().await? {
        let state = if token.revoked {
            "revoked"
        } else if token.expires_ms <= now {
            "expired"
        } else {
            "good"
        };
        let project = if token.project.is_empty() { "(all)" } else { &token.project };
        println!("{:<36}  {:<12}  {state:<8}  {:<20}  {project}", token.id, token.role, token.label);
    }
    store.close().await;
    Ok(())
}

async fn open(folder: &Folder) -> Result<SqliteStore> {
    let path = config::database(folder.database.as_deref(), &folder.data)?;
    SqliteStore::open(&path).await.with_context(|| format!("cannot open the database {}", path.display()))
}
