//! The store in memory and every wrapper keep the promises of the traits, and each wrapper does its one thing.

mod at_rest;
mod conformance;
mod size_limited;
mod verified;
mod wrappers;
