//! The queue against a naive model.
