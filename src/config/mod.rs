//! What programs are told by files: JSON, process files, the saved list. The client's business alone: the daemon
//! reads no JSON.
#![forbid(unsafe_code)]

pub mod attribute;
pub mod dump;
pub mod json;
mod pm2;
pub mod restore;
pub mod settings;
pub mod text;
pub mod words;
