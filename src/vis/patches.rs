//! Scores of images that differ from the explained one in an area each.

use candle_core::Tensor;

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
        let value = |activations: &[Tensor]| Ok(self.goal.values(job, &self.model, activations)?.to_vec1()?);
        match self.of_patches(job, label, areas, channels.as_deref(), &make, value)? {
            Some(scores) => Ok(scores),
            None => self.scores(job, label, areas.len(), self.pasted(areas, make)),
        }
    }

    /// The probability of the class for each of these variants, as [`scores_of_patches`](Self::scores_of_patches); of a target
    /// that is no class, its number.
    ///
    /// # Errors
    /// As [`scores_of_patches`](Self::scores_of_patches).
    pub fn probabilities_of_patches(
        &self,
        job: &Job,
        label: &str,
        areas: &[Area],
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
    ) -> Result<Vec<f32>> {
        let Some(class) = &self.class else { return self.scores_of_patches(job, label, areas, make) };
        let value = |activations: &[Tensor]| match activations {
            [output, ..] => {
                let all = self.model.answer().probabilities(output)?;
                Ok(all.narrow(1, class.class, 1)?.squeeze(1)?.to_vec1()?)
            }
            [] => Ok(Vec::new()),
        };
        match self.of_patches(job, label, areas, None, &make, value)? {
            Some(probabilities) => Ok(probabilities),
            None => self.probabilities(job, label, areas.len(), self.pasted(areas, make)),
        }
    }

    /// What `value` makes of the layers that the score is made of, for each variant; none where whole images are as fast.
    fn of_patches(
        &self,
        job: &Job,
        label: &str,
        areas: &[Area],
        channels: Option<&[usize]>,
        make: &(impl Fn(usize, &mut [f32]) -> Result<()> + Sync),
        value: impl Fn(&[Tensor]) -> Result<Vec<f32>>,
    ) -> Result<Option<Vec<f32>>> {
        let rules = Rules::default();
        let run = Run { channels, ..Run::new(self.reads(), &rules, job.interrupt()) };
        let Some(patches) = self.model.patches(&self.input, &run, areas)? else { return Ok(None) };
        let progress = job.progress(label, areas.len());
        let mut values = vec![0f32; areas.len()];
        patches.each(make, |indices, activations| {
            indices.iter().zip(value(activations)?).for_each(|(index, value)| values[*index] = value);
            progress.advance(indices.len())
        })?;
        Ok(Some(values))
    }

    /// The same variants as whole images.
    fn pasted<'a>(
        &self,
        areas: &'a [Area],
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync + 'a,
    ) -> impl Fn(usize, &mut [f32]) -> Result<()> + Sync + 'a {
        let size = [self.view.height(), self.view.width()];
        move |index, x| {
            let mut pixels = areas[index].cut(x, size);
            make(index, &mut pixels)?;
            areas[index].paste(&pixels, x, size);
            Ok(())
        }
    }
}
