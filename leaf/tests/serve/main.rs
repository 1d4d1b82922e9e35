//! A leaf with a real log, registry and repository and the real engine, over real gRPC.

mod answers;
mod builds;
mod digests;
mod disk;
mod failures;
mod flaky;
mod freshness;
mod gate;
mod loads;
mod moves;
mod poison;
mod ranged;
mod recoveries;
mod refusals;
mod restarts;
mod terms;
mod world;
