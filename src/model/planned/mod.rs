//! The planned executor: fused kernels over planned buffers on the CPU, forward and back.
//!
//! The part of a graph between the starts of a run (the input, as a rule) and its taps is one operation on candle's tape.
//! Forward it runs the steps of a [`plan`] over buffers whose channels lie side by side; the backward pass walks the same
//! steps in reverse under the rules of the run. Nothing is hooked into the model: buffers belong to a run, weights as the kernels want them to
//! the executor, and both are dropped with their owners. Weights that are on the tape themselves, as in training, are
//! left to the reference operations.

mod arena;
mod backward;
mod beyond_edits;
mod forward;
mod fusion;
mod incremental;
mod kernels;
mod layout;
mod linear_map;
mod narrow;
mod plan;
mod step;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use candle_core::{Device, Tensor};

use self::arena::{Arena, Loan};
use self::beyond_edits::Remembered;
use self::forward::last_use;
pub use self::incremental::Patches;
use self::kernels::Kernels;
use self::narrow::Narrow;
use self::plan::Plan;
use self::step::{Buffer, Place};
use super::executor::{Buffers, Copied, check_starts, check_taps, no_such_tap};
use super::{Executor, Graph, NodeId, Pullback, Reference, Retained, RetainedRun, Run, Weights, WriteGradient, budget};
use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::tensor::{sum, with_joint_backward, with_values};
use percept_kernels::{Target, View, elementwise};

/// Bytes of buffers up to which images are computed together: about what the caches hold.
const TOGETHER: usize = 24 << 20;
/// Groups that a batch is cut into at least: several are computed at once, without the waits between the loops of one.
const SIDE_BY_SIDE: usize = 2;

/// Runs a graph with its own kernels on the CPU.
#[derive(Clone, Debug)]
pub struct Planned(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    graph: Arc<Graph>,
    weights: Arc<Weights>,
    kernels: Arc<Kernels>,
    arena: Arena,
    /// What was computed of the last image; edited networks share it.
    remembered: Remembered,
    /// A convolution whose prepared weights are not worth keeping.
    fleeting: Option<NodeId>,
}

/// Some images on their way through a plan.
struct Group {
    plan: Arc<Plan>,
    batch: usize,
    /// The buffers that are alive.
    buffers: Vec<Option<Loan>>,
    /// What reference operations have recorded for the backward pass, by step.
    recorded: Vec<Option<forward::Recorded>>,
}

impl Planned {
    /// An executor of `graph` with `weights` that were checked against it.
    pub fn new(graph: Arc<Graph>, weights: Arc<Weights>) -> Self {
        let (kernels, arena, remembered) = (Arc::default(), Arena::default(), Remembered::default());
        Self(Arc::new(Inner { graph, weights, kernels, arena, remembered, fleeting: None }))
    }

    /// An executor of an edited graph, which shares prepared weights with this one: nodes of the same name must have the
    /// same operation and parameters in both.
    pub(super) fn edited(&self, graph: Arc<Graph>, weights: Arc<Weights>) -> Self {
        let Inner { kernels, arena, remembered, .. } = &*self.0;
        let (kernels, arena, remembered) = (kernels.clone(), arena.clone(), remembered.clone());
        Self(Arc::new(Inner { graph, weights, kernels, arena, remembered, fleeting: None }))
    }

    /// Bytes of the weights it has prepared, with those of networks that share them.
    pub fn prepared_bytes(&self) -> usize {
        self.0.kernels.bytes()
    }

    fn reference(&self) -> Reference {
        Reference::new(self.0.graph.clone(), self.0.weights.clone())
    }
}

impl Executor for Planned {
    fn run(&self, x: &[Tensor], run: &Run<'_>) -> Result<Vec<Tensor>> {
        // the backward pass knows nothing of weights, and prepared kernels would miss that they change
        if self.0.weights.are_tracked() {
            return self.reference().run(x, run);
        }
        if run.taps.is_empty() {
            return Ok(Vec::new());
        }
        let tracked = x.iter().any(Tensor::track_op);
        if !tracked && let Some(values) = self.beyond_edits(x, run)? {
            return Ok(values);
        }
        self.whole(x, run, tracked)
    }

    fn pullback(&self, x: &[Tensor], run: &Run<'_>) -> Result<(Vec<Tensor>, Pullback)> {
        check_taps(run)?;
        if self.0.weights.are_tracked() {
            return self.reference().pullback(x, run);
        }
        let (executor, narrow) = self.narrowed_for(x, run)?.unzip();
        let (values, pass) = on_worker(|| executor.as_ref().unwrap_or(self).compute(x, run, Purpose::Gradient))?;
        let narrow = move |tap: &NodeId| narrow.clone().filter(|(first, _)| tap == first).map(|(_, narrow)| narrow);
        let tensor = |(tap, (values, shape)): (&NodeId, (Vec<f32>, Vec<usize>))| match narrow(tap) {
            Some(narrow) => narrow.widened(&values, shape),
            None => Ok(Tensor::from_vec(values, shape, &Device::Cpu)?),
        };
        let values = run.taps.iter().zip(values.into_iter().zip(pass.shapes())).map(tensor);
        let values = values.collect::<Result<Vec<_>>>()?;
        let taps = run.taps.to_vec();
        let backward = move |above: &[Tensor], at: &[NodeId], weights: Option<&[f32]>| {
            let part = |(tap, above): (&NodeId, &Tensor)| match narrow(tap) {
                Some(narrow) => narrow.part(&above.detach()),
                None => Ok(above.detach()),
            };
            let above = taps.iter().zip(above).map(part).collect::<Result<Vec<Tensor>>>()?;
            let mut found = Vec::new();
            with_all_values(&above, &[], &mut |values| {
                found = pass.gradients(&Above::Values(values), at, weights)?;
                Ok(())
            })?;
            Ok(found)
        };
        let pullback = Pullback::new(&self.0.graph, run, &values, backward);
        Ok((values, pullback))
    }

    fn retained(&self, x: &[Tensor], run: &Run<'_>) -> Result<RetainedRun> {
        check_taps(run)?;
        if self.0.weights.are_tracked() || x.iter().any(|x| x.dims().first() != Some(&1)) {
            let (taps, pullback) = self.pullback(x, run)?;
            return Ok(RetainedRun::new(Copied::new(&taps, pullback)?));
        }
        let (_, pass) = on_worker(|| self.compute(x, run, Purpose::Retained))?;
        let at = *run.pulled_back_to().first().ok_or_else(lost)?;
        Ok(RetainedRun::new(RetainedPass { pass, at }))
    }
}

/// A run of one image in the buffers in which it was computed.
struct RetainedPass {
    pass: ForwardPass,
    /// Where its gradients are.
    at: NodeId,
}

impl Buffers for RetainedPass {
    fn tap(&self, tap: usize) -> Result<Retained<'_>> {
        let group = self.pass.groups.first().ok_or_else(lost)?;
        group.retained(tap)
    }

    fn gradient(&self, write: &WriteGradient<'_>) -> Result<Tensor> {
        let mut gradients = self.pass.gradients(&Above::Written(write), &[self.at], None)?;
        gradients.pop().ok_or_else(lost)
    }
}

impl Planned {
    /// An executor of no more channels of the first tap than a run asks for, with that tap and these channels; none where
    /// anything else that the run asks for would be missing, or it would not pay.
    fn narrowed_for(&self, x: &[Tensor], run: &Run<'_>) -> Result<Option<(Self, (NodeId, Narrow))>> {
        let (Some(channels), [tap, ..], [NodeId::INPUT], [x]) = (run.channels, run.taps, run.from, x) else {
            return Ok(None);
        };
        let ([_, channels_in, height, width], true) = (x.dims(), run.rules.is_plain()) else { return Ok(None) };
        let Some((narrow, which, node)) = self.narrowed([*channels_in, *height, *width], *tap, channels)? else {
            return Ok(None);
        };
        let before = |id: &NodeId| id.index() < node.index();
        let is_whole = run.gradients_at.iter().all(before) && run.taps.iter().all(|id| id == tap || before(id));
        Ok(is_whole.then_some((narrow, (*tap, which))))
    }

    /// The values of all taps by a run from its starts, off the tape.
    fn plain(&self, x: &[Tensor], run: &Run<'_>) -> Result<Vec<Tensor>> {
        if run.taps.is_empty() { Ok(Vec::new()) } else { self.whole(x, run, false) }
    }

    fn whole(&self, x: &[Tensor], run: &Run<'_>, tracked: bool) -> Result<Vec<Tensor>> {
        // on the tape there are no gradients but at the starts
        let run = &Run { gradients_at: &[], ..*run };
        let purpose = if tracked { Purpose::Gradient } else { Purpose::Values };
        let (mut values, pass) = on_worker(|| self.compute(x, run, purpose))?;
        let (lengths, shapes) = (pass.lengths.clone(), pass.shapes());
        if !tracked {
            let tensor = |(values, shape)| Ok(Tensor::from_vec(values, shape, &Device::Cpu)?);
            return values.into_iter().zip(shapes).map(tensor).collect();
        }
        let flat = if values.len() == 1 { values.swap_remove(0) } else { values.concat() };
        let flat = Tensor::from_vec(flat, lengths.iter().sum::<usize>(), &Device::Cpu)?;
        let from = run.from.to_vec();
        let flat = with_joint_backward(x, flat, move |above| {
            with_values(above, |above| {
                let mut rest = above;
                let parts = pass.lengths.iter().map(|length| rest.split_off(..*length).unwrap_or_default());
                pass.gradients(&Above::Values(&parts.collect::<Vec<_>>()), &from, None)
            })?
        })?;
        let mut start = 0;
        let taps = shapes.into_iter().zip(&lengths).map(|(shape, length)| {
            let part = if *length == flat.elem_count() { flat.clone() } else { flat.narrow(0, start, *length)? };
            start += length;
            Ok(part.reshape(shape)?)
        });
        taps.collect()
    }
}

/// Runs `work` on one of rayon's threads: a thread outside would be woken and put to sleep at each of its loops.
fn on_worker<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The values of its taps.
    Values,
    /// These, and a backward pass.
    Gradient,
    /// A backward pass, and the taps in the buffers in which they were computed.
    Retained,
}

impl Planned {
    /// The values of all taps unless they are retained, and what the backward pass needs if there will be one.
    fn compute(&self, x: &[Tensor], run: &Run<'_>, purpose: Purpose) -> Result<(Vec<Vec<f32>>, ForwardPass)> {
        let (tracked, retained) = (purpose != Purpose::Values, purpose == Purpose::Retained);
        let (batch, starts) = check_starts(x, run)?;
        let plan = Arc::new(Plan::new(&self.0.graph, run, &starts, tracked)?);
        let per_image = 4 * plan.len().max(1);
        // a fixed number, so that no result hangs on how many threads there are
        let together = batch.div_ceil(SIDE_BY_SIDE).min(TOGETHER / per_image).min(budget::memory() / per_image / 2);
        // the last group is not left with a single image
        let together = batch.div_ceil(batch.div_ceil(together.max(1)));

        let lengths: Vec<usize> = plan.taps.iter().map(|(_, shape)| batch * shape.iter().product::<usize>()).collect();
        let copied = if retained { &[] } else { &lengths[..] };
        let mut taps: Vec<Vec<f32>> = copied.iter().map(|length| vec![0f32; *length]).collect();
        let mut groups = Vec::new();
        let last_use = last_use(&plan, tracked);
        let x: Vec<Tensor> = x.iter().map(Tensor::detach).collect();
        with_all_values(&x, &[], &mut |values| {
            let parts = by_group(taps.iter_mut().map(Vec::as_mut_slice).collect(), batch, together);
            groups = side_by_side(parts.into_iter().enumerate().collect(), |(i, parts)| {
                let (first, count) = (i * together, together.min(batch - i * together));
                let images = values.iter().map(|values| {
                    let image = values.len() / batch;
                    &values[first * image..][..count * image]
                });
                let images: Vec<&[f32]> = images.collect();
                let mut group = self.0.forward(&plan, &images, count, tracked, &last_use, run)?;
                self.0.read_taps(&group, parts);
                let is_tap = |buffer| plan.taps.iter().any(|(place, _)| place.buffer == buffer);
                group.release(|buffer| !(tracked && plan.kept[buffer] || retained && is_tap(buffer)));
                Ok(group)
            })?;
            Ok(())
        })?;
        self.0.arena.shrink();
        let (inner, interrupt) = (self.0.clone(), run.interrupt.clone());
        Ok((taps, ForwardPass { inner, plan, groups, lengths, batch, interrupt }))
    }
}

/// Arrays that hold numbers for `batch` images each, cut into what belongs to each group of `together` images.
fn by_group(arrays: Vec<&mut [f32]>, batch: usize, together: usize) -> Vec<Vec<&mut [f32]>> {
    let mut groups: Vec<Vec<&mut [f32]>> = (0..batch.div_ceil(together)).map(|_| Vec::new()).collect();
    for array in arrays {
        let part = (array.len() / batch * together).max(1);
        let mut parts = array.chunks_mut(part);
        groups.iter_mut().for_each(|group| group.push(parts.next().unwrap_or_default()));
    }
    groups
}

/// Does `work` for each item, as many at once as there are threads; the results in order. Each thread carries one item
/// through to its end: its own loops find the other threads busy, and it never waits for them.
fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let threads = rayon::current_num_threads().min(items.len());
    let queue = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    rayon::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|_| {
                while let Some((place, item)) = next() {
                    let result = work(item);
                    let failed = result.is_err();
                    if let Ok(mut done) = done.lock() {
                        done.push((place, result));
                    }
                    if failed {
                        while next().is_some() {}
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().map_err(|_| Error::new(Kind::Internal, "a thread has failed"))?;
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Calls `read` with the values of all tensors, after those `found` so far.
fn with_all_values(
    tensors: &[Tensor],
    found: &[&[f32]],
    read: &mut (dyn FnMut(&[&[f32]]) -> Result<()> + Send),
) -> Result<()> {
    match tensors.split_first() {
        None => read(found),
        Some((x, rest)) => with_values(x, |values| with_all_values(rest, &[found, &[values]].concat(), read))?,
    }
}

/// A run that can be walked back.
struct ForwardPass {
    inner: Arc<Inner>,
    plan: Arc<Plan>,
    groups: Vec<Group>,
    /// Floats of each tap for all images.
    lengths: Vec<usize>,
    /// Images of all groups.
    batch: usize,
    interrupt: Interrupt,
}

impl ForwardPass {
    /// The shapes of the taps.
    fn shapes(&self) -> Vec<Vec<usize>> {
        self.plan.taps.iter().map(|(_, shape)| [&[self.batch], shape.as_slice()].concat()).collect()
    }

    /// The gradients at some nodes, given those of all taps; with weights of the images, their sums.
    fn gradients(&self, above: &Above<'_>, at: &[NodeId], weights: Option<&[f32]>) -> Result<Vec<Tensor>> {
        if let Above::Values(values) = above
            && !values.iter().map(|values| values.len()).eq(self.lengths.iter().copied())
        {
            return Err(Error::new(Kind::Tensor, "a gradient has another shape than what it is for"));
        }
        let lost = || Error::new(Kind::Internal, "a gradient was not planned");
        let place = |id: &NodeId| self.plan.captures.iter().position(|capture| capture.node == *id).ok_or_else(lost);
        let places = at.iter().map(place).collect::<Result<Vec<usize>>>()?;
        let together = self.groups.first().map_or(1, |group| group.batch);
        // of a sum, each group makes its part
        let (images, per_group) = if weights.is_some() { (self.groups.len(), 1) } else { (self.batch, together) };
        let mut results: Vec<Option<Vec<f32>>> = self.plan.captures.iter().map(|_| None).collect();
        for place in &places {
            let count: usize = self.plan.captures[*place].value.1.iter().product();
            results[*place] = Some(vec![0f32; images * count]);
        }
        on_worker(|| {
            let mut first = 0;
            let results = results.iter_mut().map(|result| result.as_deref_mut().unwrap_or_default());
            let parts = by_group(results.collect(), images, per_group);
            let work = self.groups.iter().zip(parts).map(|(group, parts)| {
                let weights = weights.map(|weights| &weights[first..first + group.batch]);
                let above = OutputGradients { taps: *above, batch: self.batch, first, weights };
                first += group.batch;
                (group, above, parts)
            });
            side_by_side(work.collect(), |(group, above, parts)| {
                let parts = parts.into_iter().map(|part| (!part.is_empty()).then_some(part));
                self.inner.backward(group, &above, &self.interrupt, parts.collect())
            })
        })?;
        let tensors = results.into_iter().zip(&self.plan.captures).map(|(result, capture)| {
            let shape = [&[images], capture.value.1.as_slice()].concat();
            let tensor =
                result.map(|result| Ok::<_, Error>(Tensor::from_vec(result, shape, &Device::Cpu)?)).transpose()?;
            match weights {
                Some(_) => tensor.map(|parts| sum(&parts, &[0], true)).transpose(),
                None => Ok(tensor),
            }
        });
        let tensors = tensors.collect::<Result<Vec<Option<Tensor>>>>()?;
        places.iter().map(|place| tensors[*place].clone().ok_or_else(lost)).collect()
    }
}

/// The gradients of all taps for all images.
#[derive(Clone, Copy)]
enum Above<'a> {
    /// The numbers for each tap, in the order of its shape.
    Values(&'a [&'a [f32]]),
    /// What writes them; for one image.
    Written(&'a WriteGradient<'a>),
}

/// The gradients of all taps for the images of a group.
struct OutputGradients<'a> {
    taps: Above<'a>,
    /// Images of all groups.
    batch: usize,
    /// The first image of the group.
    first: usize,
    /// What each image of the group counts, if their sum is wanted.
    weights: Option<&'a [f32]>,
}

impl OutputGradients<'_> {
    /// Writes the gradient of one tap for a group, or adds it to what is there.
    fn write(&self, tap: usize, group: &Group, out: Target<'_>, accumulate: bool) -> Result<()> {
        match self.taps {
            Above::Values(values) => {
                let image = values[tap].len() / self.batch;
                let values = &values[tap][self.first * image..][..group.batch * image];
                let (place, _) = &group.plan.taps[tap];
                let maps = group.buffer(*place).maps(group.batch);
                elementwise::from_planes(&maps, values, place.channels, accumulate, out);
                Ok(())
            }
            Above::Written(write) => write(tap, group.retained(tap)?, out, accumulate),
        }
    }
}

impl Inner {
    /// Copies the taps' values of a group to where they belong.
    fn read_taps(&self, group: &Group, parts: Vec<&mut [f32]>) {
        for ((place, _), out) in group.plan.taps.iter().zip(parts) {
            let maps = group.buffer(*place).maps(group.batch);
            elementwise::to_planes(&maps, group.view(*place), place.channels, out);
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

    /// The value of a tap, in its buffer.
    fn retained(&self, tap: usize) -> Result<Retained<'_>> {
        let (place, shape) = self.plan.taps.get(tap).ok_or_else(no_such_tap)?;
        let [channels, height, width] = shape[..] else {
            return Err(Error::new(Kind::Internal, format!("a tap of shape {shape:?} is no map")));
        };
        Ok(Retained { view: self.view(*place), channels, height, width })
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
fn fresh(arena: &Arena, buffer: &Buffer, batch: usize) -> Loan {
    let mut loan = arena.take(buffer.len(batch));
    let rows = buffer.maps(batch).rows() * buffer.channels;
    loan[rows..].fill(0.0);
    loan
}

fn lost() -> Error {
    Error::new(Kind::Internal, "a buffer was given back too early")
}
