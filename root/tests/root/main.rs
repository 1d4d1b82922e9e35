//! A root over real connections, asked by a client, with leaves that do what a test tells them and a
//! registry that can go away.

mod builds;
mod fakes;
mod fencing;
mod groups;
mod lethal;
mod replicas;
mod requests;
mod shadow;
mod slow;
