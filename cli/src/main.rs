//! The `nautilus` binary: everything is in the library, so that tests can start it in their own process.

use std::process::ExitCode;

/// For all of the process: unprefixed, so that RocksDB's C++ allocates from it too (docs/adr/2026-11-22-allocator.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    nautilus_cli::run()
}
