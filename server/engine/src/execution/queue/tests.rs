//! The queue by itself.
