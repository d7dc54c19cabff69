//! Changed copies of an input or of activations, made and run in batches.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::error::Result;
use crate::job::{Job, Progress};
use crate::model::budget;

/// Variants of an input that are shown to the network at once, if the memory allows.
pub(super) const MAX_BATCH: usize = 25;
/// The same where a backward pass follows, until which all that it reads is kept.
pub(super) const MAX_KEPT: usize = 8;

/// What becomes of results that arrive in batches.
pub trait Gather {
    /// Is there enough, so that no further batch is wanted?
    ///
    /// # Errors
    /// What there is cannot be judged.
    fn enough(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Counts steps as done, and shows what there is.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted) once a stop was asked for.
    fn report(&self, progress: &Progress<'_>, steps: usize) -> Result<()> {
        progress.advance(steps)
    }
}

/// All results are wanted, and nothing is shown of them.
impl Gather for () {}

/// Changed copies of one tensor.
pub(super) struct Variants<'a> {
    /// An input or activations, `[1, C, h, w]`.
    pub(super) of: &'a Tensor,
    pub(super) count: usize,
    /// So many in a batch at most.
    pub(super) at_once: usize,
}

/// Makes the variants of an input, or of activations, in batches.
pub(super) fn each_batch<G: Gather>(
    job: &Job,
    label: &str,
    variants: &Variants<'_>,
    gather: &mut G,
    make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
    mut run: impl FnMut(&mut G, Range<usize>, &Tensor) -> Result<()>,
) -> Result<()> {
    let Variants { of: input, count, at_once } = *variants;
    let progress = job.progress(label, count);
    let one: Vec<f32> = input.flatten_all()?.to_vec1()?;
    let mut shape = input.dims().to_vec();
    // the network cuts its own buffers to the limit; a batch is there twice, as it is made and as a tensor
    let batch = (budget::memory() / 4 / (2 * 4 * one.len())).clamp(1, at_once);
    for start in (0..count).step_by(batch) {
        let chunk = start..count.min(start + batch);
        let mut variants = one.repeat(chunk.len());
        variants.par_chunks_mut(one.len()).zip(chunk.clone()).try_for_each(|(x, index)| make(index, x))?;
        let size = chunk.len();
        if let Some(images) = shape.first_mut() {
            *images = size;
        }
        let variants = Tensor::from_vec(variants, shape.as_slice(), input.device())?;
        run(gather, chunk, &variants)?;
        gather.report(&progress, size)?;
        if gather.enough()? {
            progress.end();
            break;
        }
    }
    Ok(())
}
