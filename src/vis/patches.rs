//! Scores of images that differ from the explained one in an area each.

use super::Prediction;
use crate::error::Result;
use crate::job::Job;
use crate::model::{Area, Rules, Run};

impl Prediction {
    /// The scores of variants that differ from the input in one area each, in order: `make(i, pixels)` turns `pixels`, what
    /// lies in the i-th area of the input `[C, height, width]` in row-major order, into that of the variant `i`. Of each
    /// layer only what can have changed is computed, which gives the same scores as [`scores`](Self::scores) sooner; that is
    /// what runs where it would not.
    ///
    /// # Errors
    /// An area is no part of the input, `make` failed, or the run was interrupted.
    pub fn scores_of_patches(
        &self,
        job: &Job,
        label: &str,
        areas: &[Area],
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
    ) -> Result<Vec<f32>> {
        let channels = self.goal.channels(&self.model)?;
        let rules = Rules::default();
        let run = Run::new(self.reads(), &rules, job.interrupt());
        let patches = self.model.patches(&self.input, &run, channels.as_deref(), areas)?;
        let Some(patches) = patches else {
            let (_, _, height, width) = self.input.dims4()?;
            return self.scores(job, label, areas.len(), |index, x| {
                let mut pixels = areas[index].cut(x, [height, width]);
                make(index, &mut pixels)?;
                areas[index].paste(&pixels, x, [height, width]);
                Ok(())
            });
        };
        let progress = job.progress(label, areas.len());
        let mut scores = vec![0f32; areas.len()];
        patches.each(make, |indices, activations| {
            let values: Vec<f32> = self.goal.values(job, &self.model, activations)?.to_vec1()?;
            indices.iter().zip(values).for_each(|(index, value)| scores[*index] = value);
            progress.advance(indices.len())
        })?;
        Ok(scores)
    }
}
