//! DenseNet (Huang et al., 2017, arXiv:1608.06993).
//!
//! Canonical names are those of torchvision's `densenet121`; aliases are those of the modules (`features.denseblock1`,
//! and without `features.`).

use super::CLASSES;
use super::layers::conv;
use crate::error::Result;
use crate::model::{Builder, Graph, NodeId, Op};
use crate::tensor::Pool2dParams;

const EPS: f64 = 1e-5;

/// Channels that every layer adds.
const GROWTH: usize = 32;

/// Channels of a layer's 1×1 convolution.
const BOTTLENECK: usize = 4 * GROWTH;

/// Layers of the four blocks.
const DEPTHS: [usize; 4] = [6, 12, 24, 16];

/// `[N, 3, H, W]` to `[N, 1000]`.
pub(super) fn densenet121() -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let x = graph.conv_bn(["features.conv0", "features.norm0"], conv([3, 64], 7).stride(2).same(), EPS, x);
    let x = graph.relu("features.relu0", &[], x);
    let mut x = graph.max_pool("features.pool0", &[], Pool2dParams::new(3, 2, 1), x);
    let mut channels = 64;
    for (number, depth) in (1..).zip(DEPTHS) {
        x = block(&mut graph, number, depth, channels, x);
        channels += depth * GROWTH;
        if number < DEPTHS.len() {
            x = transition(&mut graph, number, channels, x);
            channels /= 2;
        }
    }
    let x = graph.batch_norm("features.norm5", &["features", "norm5"], channels, EPS, x);
    let x = graph.relu("relu", &[], x);
    let x = graph.global_pool("adaptive_avg_pool2d", &[], x);
    let x = graph.flatten(&[], x);
    graph.linear("classifier", &["logits"], [channels, CLASSES], x);
    graph.finish()
}

/// Layers each of which reads the results of all before it.
fn block(graph: &mut Builder, number: usize, depth: usize, channels: usize, input: NodeId) -> NodeId {
    let name = format!("denseblock{number}");
    let mut results = vec![input];
    for i in 0..depth {
        let part = |part: &str| format!("features.{name}.denselayer{}.{part}", i + 1);
        // the first layer has nothing to join
        let x = if i == 0 { input } else { graph.add(&part("cat"), &[], Op::Concat, &results) };
        let channels = channels + i * GROWTH;
        let x = graph.batch_norm(&part("norm1"), &[], channels, EPS, x);
        let x = graph.relu(&part("relu1"), &[], x);
        let narrow = conv([channels, BOTTLENECK], 1);
        let x = graph.conv_bn([&part("conv1"), &part("norm2")], narrow, EPS, x);
        let x = graph.relu(&part("relu2"), &[], x);
        results.push(graph.conv_without_bias(&part("conv2"), &[], conv([BOTTLENECK, GROWTH], 3).same(), x));
    }
    graph.add(&format!("features.{name}.cat"), &[&name, &format!("features.{name}")], Op::Concat, &results)
}

/// Half the channels and half the size.
fn transition(graph: &mut Builder, number: usize, channels: usize, input: NodeId) -> NodeId {
    let name = format!("transition{number}");
    let part = |part: &str| format!("features.{name}.{part}");
    let x = graph.batch_norm(&part("norm"), &[], channels, EPS, input);
    let x = graph.relu(&part("relu"), &[], x);
    let x = graph.conv_without_bias(&part("conv"), &[], conv([channels, channels / 2], 1), x);
    let op = Op::AvgPool2d { params: Pool2dParams::new(2, 2, 0), count_include_pad: true };
    graph.add(&part("pool"), &[&name, &format!("features.{name}")], op, &[x])
}
