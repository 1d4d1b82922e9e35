//! The gateway with a real log and a real catalog, over real gRPC.

mod accounts;
mod annotators;
mod built;
mod deletions;
mod gate;
mod gateway;
mod pressure;
mod user_groups;
mod write;
