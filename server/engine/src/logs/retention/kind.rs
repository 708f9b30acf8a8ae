//! What logs are of.

/// What a log is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogKind {
    /// A job of a run.
    Job,
    /// A stream of bytes: what a remote action printed, or what somebody wrote.
    Stream,
    /// A build that is told of by events.
    Build,
    /// A named log of records.
    Records,
}

impl LogKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Job, Self::Stream, Self::Build, Self::Records];

    /// Its word, in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Stream => "stream",
            Self::Build => "build",
            Self::Records => "records",
        }
    }
}
