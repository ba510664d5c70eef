//! The kernel behind small safe types, a file a subject: the only `unsafe` of the crate.
#![allow(unsafe_code)]
