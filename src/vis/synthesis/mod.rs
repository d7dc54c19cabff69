//! Images that a network makes.

mod dream;
