//! The `nautilus` binary, built with the tests that start it as a process of its own. Its leaves have the faults
//! that a test gives them; without such they are the leaves they are.

use std::process::ExitCode;

/// As the product has it: what is measured with faults is measured without them too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    nautilus_cli::run_with_leaves(nautilus_integration_tests::faulty_leaf::server)
}
