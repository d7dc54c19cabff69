//! Images that differ from a clean one in a rectangle: of each layer only what can have changed is computed, over the
//! values that the clean image has there (Nakandala, Kumar and Papakonstantinou, "Incremental and approximate inference
//! for faster occlusion-based deep CNN explanations", 2019; the exact part of it).
//!
//! The steps are those of the planned executor, over its buffers, only that a buffer holds a rectangle for each change.
//! What a step reads is put together of the clean maps, of the rectangles before it and of padding ([`gather`]), so that
//! the kernels are the same. A rectangle that has grown to the whole map is the whole map: there, and behind whatever looks
//! at all of an image, everything runs as it always does. In a run that is `exact` sums have the order that they have for
//! whole images, so the results are the same numbers, bit for bit.

mod cones;
mod gather;
mod reach;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{Device, Tensor};

use self::cones::{Batch, Cones};
use super::narrow::Narrow;
use super::plan::Plan;
use super::{Group, Inner, Planned, TOGETHER, on_worker};
use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::model::{Area, NodeId, Rules, Run, budget};
use crate::tensor::check_finite;

/// Beyond this part of the cost of whole images, whole images are as fast: their convolutions have faster methods, and
/// nothing is put together.
const WORTHWHILE: f64 = 0.6;

/// A clean image whose values are known, and the rectangles in which other images differ from it.
pub struct Patches<'a> {
    inner: Arc<Inner>,
    plan: Plan,
    cones: Cones,
    /// The values of the clean image.
    clean: Group,
    /// It as planes.
    image: Vec<f32>,
    areas: &'a [Area],
    batches: Vec<Batch>,
    taps: Vec<NodeId>,
    /// The channels of the taps that are computed, if these are not all.
    narrowed: Option<Narrow>,
    exact: bool,
    interrupt: Interrupt,
}

impl Planned {
    /// Prepares runs over images that differ from `x`, `[1, C, H, W]`, in one area each; none if they would not be faster
    /// than runs over whole images. Of `run`, which starts at the input, the taps, their channels, the interrupt and whether it
    /// is exact are of concern.
    ///
    /// # Errors
    /// An area does not fit the image, a tap cannot be computed, or the run was interrupted.
    pub(in crate::model) fn patches<'a>(
        &self,
        x: &Tensor,
        run: &Run<'_>,
        areas: &'a [Area],
    ) -> Result<Option<Patches<'a>>> {
        self.prepare(x, run, areas, WORTHWHILE)
    }

    fn prepare<'a>(
        &self,
        x: &Tensor,
        run: &Run<'_>,
        areas: &'a [Area],
        worthwhile: f64,
    ) -> Result<Option<Patches<'a>>> {
        let Run { taps, channels, exact, interrupt, .. } = *run;
        let (_, channels_in, height, width) = x.dims4()?;
        if let Some(area) = areas.iter().find(|area| !area.fits([height, width])) {
            let message = format!("{area:?} is no part of an image of {height}×{width} (height×width)");
            return Err(Error::new(Kind::Internal, message));
        }
        if taps.is_empty() || areas.is_empty() || self.0.weights.are_tracked() {
            return Ok(None);
        }
        let start = [vec![channels_in, height, width]];
        let (mut inner, mut narrowed) = (self.0.clone(), None);
        if let (Some(channels), [tap, others @ ..]) = (channels, taps)
            && others.iter().all(|other| other == tap)
            && let Some((narrow, which, _)) = self.narrowed([channels_in, height, width], *tap, channels)?
        {
            (inner, narrowed) = (narrow.0, Some(which));
        }
        let rules = Rules::default();
        // the clean image is run once, so what its values cost is no matter
        let run = Run { exact: true, ..Run::new(taps, &rules, interrupt) };
        let plan = Arc::new(Plan::new(&inner.graph, &run, &start, false)?);
        if 4 * plan.len() > budget::memory() / 3 {
            // the values of the clean image stay
            return Ok(None);
        }
        let cones = Cones::new(&inner.graph, &plan)?;
        let (cost, batches) = cones.batches(&plan, areas, TOGETHER.min(budget::memory() / 8) / 4);
        if cost > worthwhile {
            return Ok(None);
        }
        let image: Vec<f32> = x.detach().flatten_all()?.to_vec1()?;
        let keep = vec![None; plan.buffers.len()];
        let clean = on_worker(|| inner.forward(&plan, &[&image], 1, false, &keep, &run))?;
        let (plan, taps, interrupt) = (Plan::clone(&plan), taps.to_vec(), interrupt.clone());
        Ok(Some(Patches { inner, plan, cones, clean, image, areas, batches, taps, narrowed, exact, interrupt }))
    }
}

impl Patches<'_> {
    /// The values of all taps for every image, in batches: `make(i, pixels)` turns `pixels`, what lies in the i-th area of
    /// the clean image `[C, height, width]` in row-major order, into that of the i-th image, and `take` gets the numbers of
    /// some images and the taps `[N, …]` for them. Each image comes once, but not in order. Channels of which it was said
    /// that nobody looks at them are zero.
    ///
    /// # Errors
    /// `make` or `take` failed, what was made is not finite, or the run was interrupted.
    pub fn each(
        &self,
        mut make: impl FnMut(usize, &mut [f32]) -> Result<()>,
        mut take: impl FnMut(&[usize], &[Tensor]) -> Result<()>,
    ) -> Result<()> {
        let Some((_, shape)) = self.plan.starts.first() else { return Ok(()) };
        let size = [shape[1], shape[2]];
        for batch in &self.batches {
            let mut pixels = Vec::with_capacity(batch.indices.len());
            for index in &batch.indices {
                let mut patch = self.areas[*index].cut(&self.image, size);
                make(*index, &mut patch)?;
                if !patch.iter().all(|value| value.is_finite()) {
                    let length = patch.len();
                    check_finite(&Tensor::from_vec(patch, length, &Device::Cpu)?, "the network's input")?;
                    return Err(Error::new(Kind::Internal, "a patch that is not finite"));
                }
                pixels.push(patch);
            }
            let values = on_worker(|| self.compute(batch, &pixels))?;
            let taps = self.plan.taps.iter().zip(values);
            let taps = taps.map(|((_, shape), values)| self.tensor(shape, batch.indices.len(), values));
            take(&batch.indices, &taps.collect::<Result<Vec<Tensor>>>()?)?;
        }
        self.inner.arena.shrink();
        Ok(())
    }

    /// The value of a tap for some images, with zeros in place of the channels that were not computed.
    fn tensor(&self, shape: &[usize], count: usize, values: Vec<f32>) -> Result<Tensor> {
        let shape = [&[count], shape].concat();
        match &self.narrowed {
            Some(narrow) => narrow.widened(&values, shape),
            None => Ok(Tensor::from_vec(values, shape, &Device::Cpu)?),
        }
    }
}
