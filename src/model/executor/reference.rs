//! The reference executor: node by node, on candle's tape.

use std::sync::Arc;

use candle_core::{Tensor, Var};

use super::{Executor, Pullback, Run, Scope, apply, check_starts};
use crate::error::{Error, Kind, Result};
use crate::model::{Graph, NodeId, Weights};

/// Numbers of given values that go through the graph at once: those of eight images of 227×227. The largest activations
/// of a group stay small enough for the allocator to use the same memory again, and an interrupt is soon noticed.
const GROUP: usize = 3 * 8 * 227 * 227;

/// Runs a graph node by node with candle tensors; slow, simple, and right on every device.
#[derive(Debug)]
pub struct Reference {
    graph: Arc<Graph>,
    weights: Arc<Weights>,
}

/// The values of a run over some images, with what its gradients are found under.
struct Pass {
    taps: Vec<Tensor>,
    /// A zero that was added to the value of each node that has a gradient: its gradient is that value's.
    zeros: Vec<(NodeId, Var)>,
}

impl Reference {
    /// An executor of `graph` with `weights` that were checked against it.
    pub fn new(graph: Arc<Graph>, weights: Arc<Weights>) -> Self {
        Self { graph, weights }
    }

    /// Runs all images at once; `probed` are the nodes whose gradients will be asked for.
    fn pass(&self, x: &[Tensor], run: &Run<'_>, scope: &Scope, probed: &[NodeId]) -> Result<Pass> {
        let mut readers = self.readers(scope);
        let mut values: Vec<Option<Tensor>> = vec![None; readers.len()];
        let mut taps: Vec<Option<Tensor>> = vec![None; run.taps.len()];
        let mut zeros = Vec::new();
        for id in scope.ids() {
            run.interrupt.check()?;
            let mut value = match run.from.iter().position(|start| *start == id) {
                Some(start) => x[start].clone(),
                None => self.value(id, &mut values, &mut readers, run)?,
            };
            if probed.contains(&id) {
                let zero = Var::from_tensor(&value.zeros_like()?)?;
                value = (value + zero.as_tensor())?;
                zeros.push((id, zero));
            }
            for (tap, wanted) in taps.iter_mut().zip(run.taps) {
                if *wanted == id {
                    *tap = Some(value.clone());
                }
            }
            values[id.index()] = Some(value);
        }
        let lost = || Error::new(Kind::Internal, "a tap was not computed");
        let taps = taps.into_iter().map(|tap| tap.ok_or_else(lost)).collect::<Result<_>>()?;
        Ok(Pass { taps, zeros })
    }

    fn value(&self, id: NodeId, values: &mut [Option<Tensor>], readers: &mut [usize], run: &Run<'_>) -> Result<Tensor> {
        let node = self.graph.node(id);
        let inputs = node.inputs.iter().map(|input| take(values, readers, input.index()));
        let inputs = inputs.collect::<Result<Vec<Tensor>>>()?;
        apply(&node.op, &inputs, &self.weights, run.rules.of(id), run.interrupt)
            .map_err(|error| if error.kind() == Kind::Interrupted { error } else { error.context(&node.name) })
    }

    /// How many nodes of a run read each node.
    fn readers(&self, scope: &Scope) -> Vec<usize> {
        let mut readers = vec![0; self.graph.nodes().len()];
        for id in scope.ids() {
            scope.inputs(&self.graph, id).iter().for_each(|input| readers[input.index()] += 1);
        }
        readers
    }
}

/// A value for one of its readers; the last one takes it, so that memory is free as early as possible.
fn take(values: &mut [Option<Tensor>], readers: &mut [usize], index: usize) -> Result<Tensor> {
    readers[index] -= 1;
    let value = if readers[index] == 0 { values[index].take() } else { values[index].clone() };
    value.ok_or_else(|| Error::new(Kind::Internal, "a node ran before its input"))
}

/// The starts of a run in groups of so many images.
fn groups(x: &[Tensor]) -> Result<Vec<Vec<Tensor>>> {
    let batch = x.first().map_or(Ok(0), |x| x.dim(0))?;
    let per_image: usize = x.iter().map(|x| x.elem_count() / batch.max(1)).sum();
    let group = (GROUP / per_image.max(1)).max(1);
    if batch <= group {
        return Ok(vec![x.to_vec()]);
    }
    let part = |start: usize| x.iter().map(|x| Ok(x.narrow(0, start, group.min(batch - start))?)).collect();
    (0..batch).step_by(group).map(part).collect()
}

/// The parts of each value, joined along the batch.
fn join(parts: Vec<Vec<Tensor>>) -> Result<Vec<Tensor>> {
    let Some(count) = parts.first().map(Vec::len) else { return Ok(Vec::new()) };
    let joined = (0..count).map(|i| {
        let parts: Vec<&Tensor> = parts.iter().map(|part| &part[i]).collect();
        if let [one] = parts[..] { Ok(one.clone()) } else { Ok(Tensor::cat(&parts, 0)?) }
    });
    joined.collect()
}

/// The sum of the images of a batch, each times its weight, `[1, …]`.
fn weighted(batch: &Tensor, weights: &[f32]) -> Result<Tensor> {
    let mut shape = vec![1; batch.rank()];
    shape[0] = weights.len();
    let weights = Tensor::from_slice(weights, shape, batch.device())?;
    Ok(batch.broadcast_mul(&weights)?.sum_keepdim(0)?)
}

impl Executor for Reference {
    fn run(&self, x: &[Tensor], run: &Run<'_>) -> Result<Vec<Tensor>> {
        if run.taps.is_empty() {
            return Ok(Vec::new());
        }
        let scope = Scope::new(&self.graph, run)?;
        let (_, starts) = check_starts(x, run)?;
        scope.shapes(&self.graph, run.from, &starts)?;
        join(groups(x)?.iter().map(|x| Ok(self.pass(x, run, &scope, &[])?.taps)).collect::<Result<_>>()?)
    }

    fn pullback(&self, x: &[Tensor], run: &Run<'_>) -> Result<(Vec<Tensor>, Pullback)> {
        super::pullback::check_taps(run)?;
        let scope = Scope::new(&self.graph, run)?;
        let (_, starts) = check_starts(x, run)?;
        scope.shapes(&self.graph, run.from, &starts)?;
        let detached: Vec<Tensor> = x.iter().map(Tensor::detach).collect();
        let passes = groups(&detached)?
            .iter()
            .map(|x| self.pass(x, run, &scope, run.pulled_back_to()))
            .collect::<Result<Vec<_>>>()?;
        let values = passes.iter().map(|pass| pass.taps.iter().map(Tensor::detach).collect()).collect();
        let values = join(values)?;
        let backward = move |above: &[Tensor], at: &[NodeId], weights: Option<&[f32]>| {
            let mut first = 0;
            let mut parts = Vec::with_capacity(passes.len());
            for pass in &passes {
                let count = pass.taps.first().map_or(Ok(0), |tap| tap.dim(0))?;
                parts.push(pass.gradients(above, first, count, at)?);
                first += count;
            }
            let gradients = join(parts)?;
            match weights {
                Some(weights) => gradients.iter().map(|gradient| weighted(gradient, weights)).collect(),
                None => Ok(gradients),
            }
        };
        let pullback = Pullback::new(&self.graph, run, &values, backward);
        Ok((values, pullback))
    }
}

impl Pass {
    /// The gradients at some nodes, given those of the taps for more images, of which these are `count` from `first` on.
    fn gradients(&self, above: &[Tensor], first: usize, count: usize, at: &[NodeId]) -> Result<Vec<Tensor>> {
        let parts = self.taps.iter().zip(above).map(|(tap, above)| {
            let above = above.detach().narrow(0, first, count)?;
            Ok((tap * above)?.sum_all()?)
        });
        let score = Tensor::stack(&parts.collect::<Result<Vec<Tensor>>>()?, 0)?.sum_all()?;
        let mut gradients = score.backward()?;
        let mut found = Vec::with_capacity(self.zeros.len());
        for (id, zero) in &self.zeros {
            found.push((*id, gradients.remove(zero)));
        }
        let one = |id: &NodeId| {
            let place = found.iter().position(|(found, _)| found == id);
            let place = place.ok_or_else(|| Error::new(Kind::Internal, "a gradient was not recorded"))?;
            found[place].1.clone().map_or_else(|| Ok(self.zeros[place].1.zeros_like()?.detach()), Ok)
        };
        at.iter().map(one).collect()
    }
}
