//! Integration tests: a real server on a real port, real runners, and peers that share no code with either.

mod app;
mod smoke;
