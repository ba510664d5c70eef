//! The supervisor.

fn main() -> std::process::ExitCode {
    rpm::supervisor::main()
}
