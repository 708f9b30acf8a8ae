//! What the embedded store promises when the power goes.
