//! The formats in which content travels, with their numbers and names on the wire. Knows no compression code.

use std::fmt;

/// How content is compressed on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compressor {
    /// Not at all.
    #[default]
    Identity,
    /// Zstandard.
    Zstd,
    /// Deflate without a header.
    Deflate,
    /// Brotli.
    Brotli,
}

impl Compressor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Zstd, Self::Deflate, Self::Brotli];

    /// The number in `Compressor.Value`.
    pub fn wire(self) -> i32 {
        match self {
            Self::Identity => 0,
            Self::Zstd => 1,
            Self::Deflate => 2,
            Self::Brotli => 3,
        }
    }

    /// From the number in `Compressor.Value`.
    pub fn from_wire(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|compressor| compressor.wire() == number)
    }

    /// Its name in lower case.
    pub fn path_segment(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
            Self::Brotli => "brotli",
        }
    }

    /// From its name in lower case.
    pub fn from_path_segment(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compressor| compressor.path_segment() == segment)
    }
}

impl fmt::Display for Compressor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.path_segment())
    }
}
