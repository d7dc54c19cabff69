//! The planned executor: fused kernels over planned buffers on the CPU, forward and back.
//!
//! The part of a graph between the input and the taps is one operation on candle's tape. Forward it runs the steps of
//! a [`plan`] over buffers whose channels lie side by side; the way back walks the same steps in reverse under the
//! rules of the run. Nothing is hooked into the model: buffers belong to a run, weights as the kernels want them to
//! the executor, and both are dropped with their owners. Weights that are on the tape themselves, as in training, are
//! left to the reference operations.

mod backward;
mod forward;
mod kernels;
mod plan;
mod pool;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{Device, Shape, Tensor};

use self::kernels::Kernels;
use self::plan::{Buffer, Place, Plan};
use self::pool::{Loan, Pool};
use super::{Executor, Graph, Pullback, Reference, Rules, Run, Weights, budget};
use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::tensor::with_backward;
use crate::tensor::with_values;
use percept_kernels::{Target, View, elementwise};

/// Bytes of buffers up to which images are computed together: about what the caches hold.
const TOGETHER: usize = 24 << 20;

/// Runs a graph with its own kernels on the CPU.
#[derive(Clone, Debug)]
pub struct Planned(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    graph: Arc<Graph>,
    weights: Arc<Weights>,
    kernels: Kernels,
    pool: Pool,
}

/// Some images on their way through a plan.
struct Group {
    plan: Arc<Plan>,
    batch: usize,
    /// The buffers that are alive.
    buffers: Vec<Option<Loan>>,
    /// What reference operations have recorded for the way back, by step.
    recorded: Vec<Option<forward::Recorded>>,
}

impl Planned {
    /// An executor of `graph` with `weights` that were checked against it.
    pub fn new(graph: Arc<Graph>, weights: Arc<Weights>) -> Self {
        Self(Arc::new(Inner { graph, weights, kernels: Kernels::default(), pool: Pool::default() }))
    }

    /// Bytes of the weights it has prepared.
    pub fn prepared_bytes(&self) -> usize {
        self.0.kernels.bytes()
    }
}

impl Executor for Planned {
    fn run(&self, x: &Tensor, run: &Run<'_>) -> Result<Vec<Tensor>> {
        // the way back knows only the input, and prepared kernels would miss that weights change
        if self.0.weights.are_tracked() {
            return Reference::new(self.0.graph.clone(), self.0.weights.clone()).run(x, run);
        }
        if run.taps.is_empty() {
            return Ok(Vec::new());
        }
        let (flat, done) = on_worker(|| self.compute(x, run, x.track_op()))?;
        let batch = x.dim(0)?;
        let lengths = done.lengths.clone();
        let shapes = done.shapes(batch);
        let flat = Tensor::from_vec(flat, lengths.iter().sum::<usize>(), &Device::Cpu)?;
        let flat = if x.track_op() {
            with_backward(x, flat, move |above| with_values(above, |above| done.gradient(above))?)?
        } else {
            flat
        };
        let mut start = 0;
        let taps = shapes.into_iter().zip(&lengths).map(|(shape, length)| {
            let part = if *length == flat.elem_count() { flat.clone() } else { flat.narrow(0, start, *length)? };
            start += length;
            Ok(part.reshape(shape)?)
        });
        taps.collect()
    }

    fn pullback(&self, x: &Tensor, run: &Run<'_>) -> Result<(Vec<Tensor>, Pullback)> {
        if self.0.weights.are_tracked() || run.taps.is_empty() {
            return Reference::new(self.0.graph.clone(), self.0.weights.clone()).pullback(x, run);
        }
        let (mut flat, done) = on_worker(|| self.compute(x, run, true))?;
        let shapes = done.shapes(x.dim(0)?);
        let mut values = Vec::with_capacity(shapes.len());
        for (shape, length) in shapes.iter().zip(&done.lengths) {
            let after = flat.split_off(*length);
            values.push(Tensor::from_vec(std::mem::replace(&mut flat, after), shape.as_slice(), &Device::Cpu)?);
        }
        let back = move |gradients: &[Tensor]| {
            if gradients.len() != shapes.len() {
                let message = format!("{} gradients for {} layers", gradients.len(), shapes.len());
                return Err(Error::new(Kind::Tensor, message));
            }
            let flat = gradients.iter().map(|gradient| Ok(gradient.detach().flatten_all()?));
            let flat = Tensor::cat(&flat.collect::<Result<Vec<_>>>()?, 0)?;
            with_values(&flat, |above| done.gradient(above))?
        };
        Ok((values, Pullback(Box::new(back))))
    }
}

/// Runs `work` on one of rayon's threads: a thread outside would be woken and put to sleep at each of its loops.
fn on_worker<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

impl Planned {
    /// The values of all taps, one after the other, and what the way back needs if there will be one.
    fn compute(&self, x: &Tensor, run: &Run<'_>, tracked: bool) -> Result<(Vec<f32>, Done)> {
        let (batch, channels, height, width) = x.dims4()?;
        let plan = Arc::new(Plan::new(&self.0.graph, run.taps, [channels, height, width], tracked)?);
        let per_image = 4 * plan.len().max(1);
        let together = (TOGETHER / per_image).max(1).min((budget::memory() / per_image).max(1));
        // the last group is not left with a single image
        let together = batch.div_ceil(batch.div_ceil(together));

        let lengths: Vec<usize> = plan.taps.iter().map(|(_, shape)| batch * shape.iter().product::<usize>()).collect();
        let mut flat = vec![0f32; lengths.iter().sum()];
        let mut groups = Vec::new();
        let image = channels * height * width;
        with_values(&x.detach(), |values| {
            for (i, values) in values.chunks(together * image).enumerate() {
                let mut group = self.0.forward(&plan, values, values.len() / image, tracked, run)?;
                self.0.read_taps(&group, &lengths, batch, i * together, &mut flat);
                if tracked {
                    group.release(|buffer| !plan.kept[buffer]);
                    groups.push(group);
                }
            }
            Ok::<(), Error>(())
        })??;
        self.0.pool.shrink();
        let (inner, rules, interrupt) = (self.0.clone(), *run.rules, run.interrupt.clone());
        Ok((flat, Done { inner, plan, groups, lengths, shape: x.shape().clone(), rules, interrupt }))
    }
}

/// A run that can be walked back.
struct Done {
    inner: Arc<Inner>,
    plan: Arc<Plan>,
    groups: Vec<Group>,
    /// Floats of each tap for all images.
    lengths: Vec<usize>,
    /// The input's.
    shape: Shape,
    rules: Rules,
    interrupt: Interrupt,
}

impl Done {
    /// The shapes of the taps.
    fn shapes(&self, batch: usize) -> Vec<Vec<usize>> {
        self.plan.taps.iter().map(|(_, shape)| [&[batch], shape.as_slice()].concat()).collect()
    }

    /// The gradient for the input, given those of all taps, one after the other.
    fn gradient(&self, above: &[f32]) -> Result<Tensor> {
        if above.len() != self.lengths.iter().sum::<usize>() {
            return Err(Error::new(Kind::Tensor, "a gradient has another shape than what it is for"));
        }
        on_worker(|| {
            let mut result = vec![0f32; self.shape.elem_count()];
            let batch: usize = self.groups.iter().map(|group| group.batch).sum();
            let image = result.len() / batch.max(1);
            let mut first = 0;
            for group in &self.groups {
                let result = &mut result[first * image..][..group.batch * image];
                let seeds = Seeds { gradient: above, lengths: &self.lengths, batch, first };
                self.inner.backward(group, &seeds, &self.rules, &self.interrupt, result)?;
                first += group.batch;
            }
            Ok(Tensor::from_vec(result, &self.shape, &Device::Cpu)?)
        })
    }
}

/// The gradients of all taps for all images, one tap after the other.
struct Seeds<'a> {
    gradient: &'a [f32],
    lengths: &'a [usize],
    batch: usize,
    /// The first image of the group.
    first: usize,
}

impl Seeds<'_> {
    /// The gradient of one tap for `count` images.
    fn of(&self, tap: usize, count: usize) -> &[f32] {
        let start: usize = self.lengths[..tap].iter().sum();
        let image = self.lengths[tap] / self.batch;
        &self.gradient[start + self.first * image..][..count * image]
    }
}

impl Inner {
    /// Copies the taps' values of a group to where they belong.
    fn read_taps(&self, group: &Group, lengths: &[usize], batch: usize, first: usize, flat: &mut [f32]) {
        let mut start = 0;
        for ((place, _), length) in group.plan.taps.iter().zip(lengths) {
            let image = length / batch;
            let out = &mut flat[start + first * image..][..group.batch * image];
            elementwise::to_planes(&group.buffer(*place).maps(group.batch), group.view(*place), place.channels, out);
            start += length;
        }
    }
}

impl Group {
    fn buffer(&self, place: Place) -> Buffer {
        self.plan.buffers[place.buffer]
    }

    /// The values at a place.
    fn view(&self, place: Place) -> View<'_> {
        view(&self.buffers, &self.plan, place)
    }

    /// Gives buffers back.
    fn release(&mut self, which: impl Fn(usize) -> bool) {
        self.buffers.iter_mut().enumerate().filter(|(i, _)| which(*i)).for_each(|(_, loan)| *loan = None);
    }
}

/// The values at a place of some buffers.
fn view<'a>(buffers: &'a [Option<Loan>], plan: &Plan, place: Place) -> View<'a> {
    let data = buffers[place.buffer].as_deref().unwrap_or_default();
    View { data, stride: plan.buffers[place.buffer].channels, offset: place.offset }
}

/// A place to write, in a buffer that was taken out.
fn target<'a>(loan: &'a mut Loan, plan: &Plan, place: Place, batch: usize) -> Target<'a> {
    let Buffer { channels, .. } = plan.buffers[place.buffer];
    let rows = plan.buffers[place.buffer].maps(batch).rows();
    Target { data: &mut loan[..rows * channels], stride: channels, offset: place.offset }
}

/// A buffer with its row of zeros.
fn fresh(pool: &Pool, buffer: &Buffer, batch: usize) -> Loan {
    let mut loan = pool.take(buffer.len(batch));
    let rows = buffer.maps(batch).rows() * buffer.channels;
    loan[rows..].fill(0.0);
    loan
}

fn lost() -> Error {
    Error::new(Kind::Internal, "a buffer was given back too early")
}
