//! Networks that compute only some channels of a value.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::model::{Conv2d, Graph, Linear, NodeId, Op, Weights};

/// A graph of the same nodes, in which a convolution or linear layer makes only what some channels of `tap` are made of.
pub(super) struct Narrowed {
    pub(super) graph: Graph,
    pub(super) weights: Weights,
    /// The node that was narrowed.
    pub(super) node: NodeId,
}

/// Narrows the last convolution or linear layer before `tap` if everything between works channel by channel; `shapes` are
/// those of all values for one image. Of what is no ancestor of `tap` nothing can be computed any more.
pub(super) fn narrowed(
    graph: &Graph,
    weights: &Weights,
    shapes: &[Vec<usize>],
    tap: NodeId,
    channels: &[usize],
) -> Result<Option<Narrowed>> {
    let mut id = tap;
    let (op, parameters) = loop {
        let node = graph.node(id);
        let before = node.inputs.first().and_then(|input| shapes.get(input.index()));
        match &node.op {
            Op::Activation(_) | Op::Dropout | Op::MaxPool2d(_) | Op::AvgPool2d { .. } | Op::AdaptiveAvgPool2d(_) => {}
            Op::Flatten if matches!(before.map(Vec::as_slice), Some([_, 1, 1])) => {}
            Op::Conv2d(conv) if conv.params.groups == 1 && few(channels, conv.out_channels) => {
                let Conv2d { weight, bias, .. } = conv;
                let (weight, bias) = (renamed(weight, channels), bias.as_ref().map(|bias| renamed(bias, channels)));
                let conv = Conv2d { out_channels: channels.len(), weight, bias, ..conv.clone() };
                break (Op::Conv2d(conv), node.op.parameters());
            }
            Op::Linear(linear) if few(channels, linear.out_features) => {
                let Linear { weight, bias, .. } = linear;
                let (weight, bias) = (renamed(weight, channels), bias.as_ref().map(|bias| renamed(bias, channels)));
                let linear = Linear { out_features: channels.len(), weight, bias, ..linear.clone() };
                break (Op::Linear(linear), node.op.parameters());
            }
            _ => return Ok(None),
        }
        let Some(input) = node.inputs.first() else { return Ok(None) };
        id = *input;
    };
    let rows: Vec<u32> = channels.iter().map(|channel| *channel as u32).collect();
    let rows = Tensor::new(rows, &Device::Cpu)?;
    let mut own = Vec::new();
    for parameter in parameters {
        own.push((renamed(&parameter.name, channels), weights.get(&parameter.name)?.index_select(&rows, 0)?));
    }
    let name = renamed(&graph.node(id).name, channels);
    Ok(Some(Narrowed { graph: graph.replaced(id, &name, op)?, weights: weights.with(own), node: id }))
}

/// Whether it is worth the trouble: at most half of all.
fn few(channels: &[usize], of: usize) -> bool {
    channels.len() * 2 <= of && channels.iter().all(|channel| *channel < of)
}

fn renamed(name: &str, channels: &[usize]) -> String {
    format!("{name}{channels:?}")
}
