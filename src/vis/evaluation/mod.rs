//! Is an attribution to be trusted: measures of how well a map agrees with what the network does. One measure, one file.

mod average_drop;
mod complexity;
mod correlation;
mod deletion;
mod imputation;
mod infidelity;
mod insertion;
mod localization;
mod measure;
mod mu_fidelity;
mod order;
mod road;
mod sparseness;
mod trust;

pub use average_drop::{average_drop, average_increase};
pub use complexity::complexity;
pub use correlation::spearman;
pub use deletion::deletion;
pub use infidelity::infidelity;
pub use insertion::insertion;
pub use localization::{Mask, pointing_game, relevance_mass, relevance_rank};
pub use measure::{Better, Curve, Measure};
pub use mu_fidelity::mu_fidelity;
pub use road::road;
pub use sparseness::sparseness;
pub use trust::{Trust, trust};
