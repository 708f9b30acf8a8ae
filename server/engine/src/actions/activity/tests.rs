//! Counting, steps, and what happens when the store fails.
