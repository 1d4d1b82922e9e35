//! A leaf with a real log and the real engine, over real gRPC.

mod answers;
mod failures;
mod freshness;
mod gate;
mod refusals;
mod restarts;
mod world;
