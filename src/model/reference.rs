//! The reference executor: node by node, on candle's tape.

use std::sync::Arc;

use candle_core::Tensor;

use super::{Executor, Graph, Op, Run, Weights};
use crate::error::{Error, Kind, Result};
use crate::tensor::{concat, conv2d, flatten, global_avg_pool, max_pool2d, relu};

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
            (Op::Conv2d(conv), [input]) => {
                let weight = self.weights.get(&conv.weight)?;
                let bias = conv.bias.as_ref().map(|name| self.weights.get(name)).transpose()?;
                conv2d(input, weight, bias, &conv.params, run.interrupt)
            }
            (Op::Relu, [input]) => relu(input, run.rules.relu),
            (Op::MaxPool2d(params), [input]) => max_pool2d(input, params),
            (Op::GlobalAvgPool, [input]) => global_avg_pool(input),
            (Op::Concat, inputs) => concat(inputs),
            (Op::Dropout, [input]) => Ok(input.clone()),
            (Op::Flatten, [input]) => flatten(input),
            _ => Err(Error::new(Kind::Internal, format!("{op} does not take {} inputs", inputs.len()))),
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
