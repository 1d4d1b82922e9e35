//! Snapshots over a folder: what is published is found and comes back; what is damaged does not.
