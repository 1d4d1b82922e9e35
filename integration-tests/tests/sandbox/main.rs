//! Two replica groups in this process, with real gRPC between all roles, through the public API.

mod annotations;
mod builds;
mod built;
mod damage;
mod errors;
mod faults;
mod isolation;
mod paging;
mod recovery;
mod roots;
mod shadow;
mod tokens;
mod world;
