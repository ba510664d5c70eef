//! The client; see the crate.
fn main() -> std::process::ExitCode {
    rpm::client::main()
}
