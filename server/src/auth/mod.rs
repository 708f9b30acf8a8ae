//! Who calls, and what they may do. The HTTP layer finds the caller once; services ask for a role.

pub mod cli;
mod instances;
mod jwt;
mod keys;
mod layer;
pub mod session;
pub mod stream_key;

use connectrpc::{ConnectError, RequestContext};
use millrace_engine::runners::Runner;

pub use instances::Instances;
pub use jwt::{Issue, Tokens};
pub use layer::{Gate, identify};

/// What a caller may do. A role allows what is named for it below and nothing else, but `admin` allows everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum Role {
    /// Look at runs, logs and runners.
    Read,
    /// Read; start, stop and repeat runs.
    Run,
    /// What a runner agent does: it reads and writes the remote cache of any instance, too, for the actions it runs.
    Runner,
    /// Read the remote cache.
    CacheRead,
    /// Read and write the remote cache.
    CacheWrite,
    /// Execute remote actions; read and write the remote cache.
    Execute,
    /// Everything.
    Admin,
}

impl Role {
    /// The role's word, as in tokens and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Runner => "runner",
            Self::CacheRead => "cache-read",
            Self::CacheWrite => "cache-write",
            Self::Execute => "execute",
            Self::Admin => "admin",
        }
    }

    /// The role with this word.
    pub fn parse(word: &str) -> Option<Self> {
        use clap::ValueEnum;
        Self::value_variants().iter().copied().find(|role| role.word() == word)
    }

    /// Whether who has this role may do what asks for `wanted`.
    pub fn allows(self, wanted: Self) -> bool {
        self == wanted
            || self == Self::Admin
            || matches!(
                (self, wanted),
                (Self::Run, Self::Read)
                    | (Self::CacheWrite, Self::CacheRead)
                    | (Self::Execute | Self::Runner, Self::CacheRead | Self::CacheWrite)
            )
    }
}

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody has said who they are.
    Anonymous,
    /// Said something that is not true: the reason.
    Refused(String),
    /// Anybody on a server that is open on loopback.
    Open,
    /// The bearer of an API token.
    Token {
        /// The token's label.
        label: String,
        /// What it may do.
        role: Role,
        /// The project it is for; empty: all.
        project: String,
    },
    /// A runner agent.
    Runner(Box<Runner>),
}

impl Caller {
    /// The caller that the HTTP layer has found.
    pub fn of(ctx: &RequestContext) -> Self {
        ctx.extensions().get::<Self>().cloned().unwrap_or(Self::Anonymous)
    }

    /// The name that goes into runs.
    pub fn name(&self) -> String {
        match self {
            Self::Anonymous | Self::Refused(_) => "anonymous".into(),
            Self::Open => "local".into(),
            Self::Token { label, .. } => label.clone(),
            Self::Runner(runner) => format!("runner {}", runner.name),
        }
    }

    /// The role, for the browser.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Open => Some(Role::Admin),
            Self::Token { role, .. } => Some(*role),
            Self::Runner(_) => Some(Role::Runner),
            Self::Anonymous | Self::Refused(_) => None,
        }
    }

    /// Whether the caller may do what asks for a role.
    pub fn may(&self, wanted: Role) -> Result<(), Denial> {
        match self {
            Self::Refused(why) => Err(Denial::Unauthenticated(why.clone())),
            Self::Anonymous => Err(Denial::Unauthenticated(
                "a token is needed: send it as \"Authorization: Bearer TOKEN\" (make one with `millrace token create`)"
                    .into(),
            )),
            _ if self.role().is_some_and(|role| role.allows(wanted)) => Ok(()),
            _ => Err(Denial::Forbidden(format!(
                "this needs the role {}; the caller has {}",
                wanted.word(),
                self.role().map_or("none", Role::word)
            ))),
        }
    }

    /// The project this caller is bound to; None: any.
    pub fn project(&self) -> Option<&str> {
        match self {
            Self::Token { project, .. } if !project.is_empty() => Some(project),
            _ => None,
        }
    }

    /// Whether a thing of this project is this caller's to see. What is not, does not exist for them.
    pub fn sees(&self, project: &str) -> bool {
        self.project().is_none_or(|own| own == project)
    }
}

/// Why a caller may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Who are you?
    Unauthenticated(String),
    /// Not you.
    Forbidden(String),
}

impl From<Denial> for ConnectError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Unauthenticated(message) => Self::unauthenticated(message),
            Denial::Forbidden(message) => Self::permission_denied(message),
        }
    }
}

/// The caller, if they may do what asks for this role.
pub fn require(ctx: &RequestContext, role: Role) -> Result<Caller, ConnectError> {
    let caller = Caller::of(ctx);
    caller.may(role)?;
    Ok(caller)
}

/// The same for what each of two roles is enough for.
pub fn require_either(ctx: &RequestContext, one: Role, other: Role) -> Result<Caller, ConnectError> {
    match require(ctx, one) {
        Ok(caller) => Ok(caller),
        Err(refusal) => require(ctx, other).map_err(|_| refusal),
    }
}

/// The same as [`require`] for what concerns the whole server: a token for one project is not enough.
pub fn require_everywhere(ctx: &RequestContext, role: Role) -> Result<Caller, ConnectError> {
    let caller = require(ctx, role)?;
    match caller.project() {
        None => Ok(caller),
        Some(project) => Err(ConnectError::permission_denied(format!(
            "this concerns the whole server; the caller's token is for the project {project} only"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_allows_what_it_says_and_nothing_else() {
        use Role::{Admin, CacheRead, CacheWrite, Execute, Read, Run, Runner};
        let all = [Read, Run, Runner, CacheRead, CacheWrite, Execute, Admin];
        let allowed: &[(Role, &[Role])] = &[
            (Read, &[Read]),
            (Run, &[Run, Read]),
            (Runner, &[Runner, CacheWrite, CacheRead]),
            (CacheRead, &[CacheRead]),
            (CacheWrite, &[CacheWrite, CacheRead]),
            (Execute, &[Execute, CacheWrite, CacheRead]),
            (Admin, &all),
        ];
        for (has, may) in allowed {
            for wanted in all {
                assert_eq!(has.allows(wanted), may.contains(&wanted), "{has:?} for {wanted:?}");
            }
        }
    }

    #[test]
    fn every_role_is_found_by_its_word() {
        for word in ["read", "run", "runner", "cache-read", "cache-write", "execute", "admin"] {
            assert_eq!(Role::parse(word).map(Role::word), Some(word));
        }
        assert_eq!(Role::parse("root"), None);
    }
}
