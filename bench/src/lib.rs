//! What measures Millrace from outside, and the independent client that its tests use. Knows nothing of the server's
//! code or of its code generation.

pub mod wire;
