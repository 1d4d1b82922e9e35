//! A merger over real connections, with a real catalog, in front of a root that does what a test
//! tells it.

mod access;
mod documents;
mod explain;
mod fake_root;
mod paging;
mod search;
mod shadow;
mod slow_log;
mod suggest;
mod system;
mod tokens;
