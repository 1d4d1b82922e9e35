//! The `nautilus` binary, built with the tests that start it as a process of its own. Its leaves have the faults
//! that a test gives them; without such they are the leaves they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    nautilus_cli::run_with_leaves(nautilus_integration_tests::faulty_leaf::server)
}
