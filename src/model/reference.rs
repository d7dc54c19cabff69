//! The reference executor: node by node, on candle's tape.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::{Executor, Graph, Op, Rules, Run, Weights};
use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::tensor::{
    activation, adaptive_avg_pool2d, avg_pool2d, batch_norm_scale, concat, conv2d, flatten, linear,
    local_response_norm, max_pool2d, scale_channels, softmax,
};

/// Pixels of input that go through the graph at once. Eight images of 227×227: the largest activations of a
/// group stay small enough for the allocator to use the same memory again, and an interrupt is soon noticed.
const GROUP: usize = 8 * 227 * 227;

/// Runs a graph node by node with candle tensors; slow, simple, and right on every device.
#[derive(Debug)]
pub struct Reference {
    graph: Arc<Graph>,
    weights: Arc<Weights>,
}

impl Reference {
    /// An executor of `graph` with `weights` that were checked against it.
    pub fn new(graph: Arc<Graph>, weights: Arc<Weights>) -> Self {
        Self { graph, weights }
    }

    fn run_group(&self, x: &Tensor, run: &Run<'_>) -> Result<Vec<Tensor>> {
        let needed = self.graph.needed(run.taps);
        let mut readers = self.readers(&needed);
        let mut values: Vec<Option<Tensor>> = vec![None; needed.len()];
        let mut taps: Vec<Option<Tensor>> = vec![None; run.taps.len()];
        for id in self.graph.ids().filter(|id| needed[id.index()]) {
            run.interrupt.check()?;
            let node = self.graph.node(id);
            let inputs = node.inputs.iter().map(|input| take(&mut values, &mut readers, input.index()));
            let inputs = inputs.collect::<Result<Vec<Tensor>>>()?;
            let value = self
                .apply(&node.op, x, &inputs, run)
                .map_err(|error| if error.kind() == Kind::Interrupted { error } else { error.context(&node.name) })?;
            for (tap, wanted) in taps.iter_mut().zip(run.taps) {
                if *wanted == id {
                    *tap = Some(value.clone());
                }
            }
            values[id.index()] = Some(value);
        }
        taps.into_iter().map(|tap| tap.ok_or_else(|| Error::new(Kind::Internal, "a tap was not computed"))).collect()
    }

    fn apply(&self, op: &Op, x: &Tensor, inputs: &[Tensor], run: &Run<'_>) -> Result<Tensor> {
        match (op, inputs) {
            (Op::Input { .. }, _) => Ok(x.clone()),
            (op, inputs) => apply(op, inputs, &self.weights, run.rules, run.interrupt),
        }
    }

    /// How many needed nodes read each node.
    fn readers(&self, needed: &[bool]) -> Vec<usize> {
        let mut readers = vec![0; needed.len()];
        for (node, _) in self.graph.nodes().iter().zip(needed).filter(|(_, needed)| **needed) {
            node.inputs.iter().for_each(|input| readers[input.index()] += 1);
        }
        readers
    }
}

/// The value of one operation, on the tape of its inputs.
pub(super) fn apply(
    op: &Op,
    inputs: &[Tensor],
    weights: &Weights,
    rules: &Rules,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    let parameter = |name: &Option<String>| name.as_ref().map(|name| weights.get(name)).transpose();
    match (op, inputs) {
        (Op::Conv2d(conv), [x]) => {
            conv2d(x, weights.get(&conv.weight)?, parameter(&conv.bias)?, &conv.params, interrupt)
        }
        (Op::Linear(fc), [x]) => linear(x, weights.get(&fc.weight)?, parameter(&fc.bias)?),
        (Op::BatchNorm(norm), [x]) => {
            let [mean, var, weight, bias] = [&norm.mean, &norm.var, &norm.weight, &norm.bias];
            let (mean, var) = (weights.get(mean)?, weights.get(var)?);
            let (scale, shift) = batch_norm_scale(mean, var, weights.get(weight)?, weights.get(bias)?, norm.eps)?;
            scale_channels(x, &scale, &shift)
        }
        (Op::Scale(scale), [x]) => {
            let ones = Tensor::ones(scale.channels, DType::F32, x.device())?;
            let factor = parameter(&scale.scale)?.unwrap_or(&ones);
            let zeros = ones.zeros_like()?;
            scale_channels(x, factor, parameter(&scale.shift)?.unwrap_or(&zeros))
        }
        (Op::LocalResponseNorm(norm), [x]) => local_response_norm(x, norm),
        (Op::Activation(function), [x]) => activation(x, *function, rules.relu),
        (Op::Softmax, [x]) => softmax(x),
        (Op::MaxPool2d(params), [x]) => max_pool2d(x, params),
        (Op::AvgPool2d { params, count_include_pad }, [x]) => avg_pool2d(x, params, *count_include_pad),
        (Op::AdaptiveAvgPool2d(size), [x]) => adaptive_avg_pool2d(x, *size),
        (Op::ZeroPad([[top, bottom], [left, right]]), [x]) => {
            Ok(x.pad_with_zeros(2, *top, *bottom)?.pad_with_zeros(3, *left, *right)?)
        }
        (Op::Concat, inputs) => concat(inputs),
        (Op::Add, [first, rest @ ..]) => rest.iter().try_fold(first.clone(), |sum, other| Ok((sum + other)?)),
        (Op::Mul, [a, b]) => Ok(a.broadcast_mul(b)?),
        (Op::Dropout, [x]) => Ok(x.clone()),
        (Op::Flatten, [x]) => flatten(x),
        (Op::Unflatten([channels, height, width]), [x]) => Ok(x.reshape((x.dim(0)?, *channels, *height, *width))?),
        (Op::Narrow { start, length }, [x]) => Ok(x.narrow(1, *start, *length)?.contiguous()?),
        (Op::ChannelShuffle { groups }, [x]) => {
            let (n, channels, height, width) = x.dims4()?;
            let apart = x.reshape((n, *groups, channels / groups, height, width))?;
            Ok(apart.transpose(1, 2)?.contiguous()?.reshape((n, channels, height, width))?)
        }
        _ => Err(Error::new(Kind::Internal, format!("{op} does not take {} inputs", inputs.len()))),
    }
}

/// A value for one of its readers; the last one takes it, so that memory is free as early as possible.
fn take(values: &mut [Option<Tensor>], readers: &mut [usize], index: usize) -> Result<Tensor> {
    readers[index] -= 1;
    let value = if readers[index] == 0 { values[index].take() } else { values[index].clone() };
    value.ok_or_else(|| Error::new(Kind::Internal, "a node ran before its input"))
}

impl Executor for Reference {
    fn run(&self, x: &Tensor, run: &Run<'_>) -> Result<Vec<Tensor>> {
        let (batch, _, height, width) = x.dims4()?;
        let group = (GROUP / (height * width).max(1)).max(1);
        if batch <= group {
            return self.run_group(x, run);
        }
        let mut parts: Vec<Vec<Tensor>> = vec![Vec::new(); run.taps.len()];
        for start in (0..batch).step_by(group) {
            let some = x.narrow(0, start, group.min(batch - start))?;
            parts.iter_mut().zip(self.run_group(&some, run)?).for_each(|(parts, value)| parts.push(value));
        }
        parts.iter().map(|parts| Ok(Tensor::cat(parts, 0)?)).collect()
    }
}
