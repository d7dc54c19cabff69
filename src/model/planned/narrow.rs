//! Networks that compute only some channels of a value.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::beyond_edits::Remembered;
use super::{Inner, Planned};
use crate::error::Result;
use crate::model::{Conv2d, Graph, Linear, NodeId, Op, Weights};

/// Which channels of a value are computed, and of how many.
#[derive(Clone, Debug)]
pub(super) struct Narrow {
    channels: Vec<usize>,
    of: usize,
}

impl Narrow {
    /// A value of which these channels were computed, `[N, channels, …]`, with zeros in place of the others.
    pub(super) fn widened(&self, values: &[f32], mut shape: Vec<usize>) -> Result<Tensor> {
        let Self { channels, of } = self;
        let plane: usize = shape.iter().skip(2).product();
        let mut all = vec![0f32; values.len() / channels.len().max(1) * of];
        for (own, all) in values.chunks_exact(channels.len() * plane).zip(all.chunks_exact_mut(of * plane)) {
            for (own, channel) in own.chunks_exact(plane).zip(channels) {
                all[channel * plane..][..plane].copy_from_slice(own);
            }
        }
        if let Some(channels) = shape.get_mut(1) {
            *channels = *of;
        }
        Ok(Tensor::from_vec(all, shape, &Device::Cpu)?)
    }

    /// These channels of a value `[N, of, …]`.
    pub(super) fn part(&self, value: &Tensor) -> Result<Tensor> {
        let channels: Vec<u32> = self.channels.iter().map(|channel| *channel as u32).collect();
        Ok(value.index_select(&Tensor::new(channels, &Device::Cpu)?, 1)?)
    }
}

impl Planned {
    /// An executor of the same graph that computes only some channels of `tap`, for inputs of this shape; with the node that
    /// it narrows, of which, and of what is behind it, only that tap can be computed. None where that would not pay.
    pub(super) fn narrowed(
        &self,
        input: [usize; 3],
        tap: NodeId,
        channels: &[usize],
    ) -> Result<Option<(Self, Narrow, NodeId)>> {
        let Inner { graph, weights, kernels, arena, .. } = &*self.0;
        let shapes = graph.shapes(input, tap)?;
        let Some(Narrowed { graph, weights, node }) = narrowed(graph, weights, &shapes, tap, channels)? else {
            return Ok(None);
        };
        let of = shapes[tap.index()].first().copied().unwrap_or(0);
        let inner = Inner {
            graph: Arc::new(graph),
            weights: Arc::new(weights),
            kernels: kernels.clone(),
            arena: arena.clone(),
            remembered: Remembered::default(),
            fleeting: Some(node),
        };
        Ok(Some((Self(Arc::new(inner)), Narrow { channels: channels.to_vec(), of }, node)))
    }
}

/// A graph of the same nodes, in which a convolution or linear layer makes only what some channels of a value are made of.
struct Narrowed {
    graph: Graph,
    weights: Weights,
    /// The node that was narrowed.
    node: NodeId,
}

/// Narrows the last convolution or linear layer before `tap` if everything between works channel by channel; `shapes` are
/// those of all values for one image. Of what is no ancestor of `tap` nothing can be computed any more.
fn narrowed(
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use crate::job::Interrupt;
    use crate::model::{Model, NodeId, Rule, Rules, Run};
    use crate::tensor::testing::{assert_close, random, rng, values};
    use candle_core::Tensor;

    /// The score of one class and its gradients, with the other classes' scores and without.
    #[test]
    fn the_channels_that_count_are_those_of_the_whole() {
        let model = Model::embedded().unwrap();
        let graph = model.graph();
        let (output, fire9, late) = (graph.output(), graph.find("fire9").unwrap(), graph.find("relu_conv10"));
        let (rules, interrupt) = (Rules::default(), Interrupt::never());
        let x = (random(&mut rng(1), (3, 3, 67, 67)) * 100.0).unwrap();
        let channels = [3, 285];
        for (taps, at) in [(vec![output], vec![NodeId::INPUT]), (vec![output, fire9], vec![fire9, NodeId::INPUT])] {
            for rules in [&rules, &Rule::Guided.into()] {
                let whole = Run { gradients_at: &at, exact: true, ..Run::new(&taps, rules, &interrupt) };
                let (truth, all) = model.pullback_with(std::slice::from_ref(&x), &whole).unwrap();
                let run = Run { channels: Some(&channels), ..whole };
                let (ours, narrow) = model.pullback_with(std::slice::from_ref(&x), &run).unwrap();
                let mut above: Vec<Tensor> = truth.iter().map(|tap| tap.zeros_like().unwrap()).collect();
                for (ours, truth) in ours.iter().zip(&truth) {
                    assert_eq!(ours.dims(), truth.dims());
                }
                let scores = |output: &Tensor| output.to_vec2::<f32>().unwrap();
                let mut slopes = vec![0f32; 3 * 1000];
                for (image, (ours, truth)) in scores(&ours[0]).iter().zip(scores(&truth[0])).enumerate() {
                    channels.iter().for_each(|channel| assert_eq!(ours[*channel], truth[*channel]));
                    // others are left out by plain rules alone
                    let others = |score: &(usize, &f32)| !channels.contains(&score.0);
                    let left_out = ours.iter().enumerate().filter(others).all(|(_, score)| *score == 0.0);
                    assert!(if rules.is_plain() { left_out } else { *ours == truth });
                    (slopes[1000 * image + 3], slopes[1000 * image + 285]) = (-0.5, 1.0 + image as f32);
                }
                if let (Some(ours), Some(truth)) = (ours.get(1), truth.get(1)) {
                    assert_eq!(values(ours), values(truth));
                }
                above[0] = Tensor::from_vec(slopes, (3, 1000), x.device()).unwrap();
                let (ours, truth) = (narrow.gradients(&above, &at).unwrap(), all.gradients(&above, &at).unwrap());
                for (ours, truth) in ours.iter().zip(&truth) {
                    assert_close(&values(ours), &values(truth), 1e-5, "gradients");
                }
                if let [NodeId::INPUT] = at[..] {
                    let weights = [0.5, -1.0, 2.0];
                    let sums = [&narrow, &all].map(|pass| values(&pass.weighted_sum(&above, &weights).unwrap()));
                    assert_close(&sums[0], &sums[1], 1e-5, "sums");
                }
            }
        }
        // a gradient behind what would be narrowed needs all of it
        let (at, taps) = ([late.unwrap()], [output]);
        let whole = Run { gradients_at: &at, ..Run::new(&taps, &rules, &interrupt) };
        let (truth, _) = model.pullback_with(std::slice::from_ref(&x), &whole).unwrap();
        let (ours, pullback) =
            model.pullback_with(std::slice::from_ref(&x), &Run { channels: Some(&channels), ..whole }).unwrap();
        assert_eq!(values(&ours[0]), values(&truth[0]));
        assert_eq!(pullback.gradient(&[ours[0].ones_like().unwrap()]).unwrap().dims()[1], 1000);
    }
}
