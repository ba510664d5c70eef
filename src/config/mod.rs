//! Configuration files: JSON, process files, the saved list. Used only by the client; the daemon reads no JSON.
#![forbid(unsafe_code)]

pub mod apps;
pub mod attribute;
pub mod dump;
pub mod json;
pub mod limit;
mod node;
pub mod package;
pub mod place;
mod pm2;
pub mod process_file;
mod procfile;
pub mod restore;
pub mod saved;
pub mod script;
pub mod settings;
pub mod shebang;
pub mod split_args;
pub mod text;
