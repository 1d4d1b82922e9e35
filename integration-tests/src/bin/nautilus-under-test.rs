//! The `nautilus` binary, built with the tests that start it as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    nautilus_cli::run()
}
