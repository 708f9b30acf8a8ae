//! Where logs are kept. Who may append what is the engine's `logs`.

pub mod disk;
