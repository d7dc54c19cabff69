//! The seed of random numbers, as an option.

use crate::job::Job;
use crate::lang::Options;

/// Where random numbers start.
#[derive(Clone, Copy, Debug, Options)]
pub struct Seed {
    /// The seed; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

impl Seed {
    /// The seed that a call uses, noted for the provenance of the result.
    pub fn get(self, job: &Job) -> u64 {
        job.seed(self.seed)
    }
}
