//! MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381).
//!
//! Canonical names are those of torchvision's `mobilenet_v2`; a whole block is also found by its module's name
//! (`features.3`) and by its number in the paper's table (`bottleneck3`).

use super::CLASSES;
use super::layers::{Conv, conv};
use crate::error::Result;
use crate::model::{Builder, Graph, NodeId, Op};

const EPS: f64 = 1e-5;

/// The paper's table 2: expansion, channels, repetitions, stride of the first.
const BOTTLENECKS: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// `[N, 3, H, W]` to `[N, 1000]`.
pub(super) fn mobilenet_v2() -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let mut x = layer(&mut graph, "features.0", &["features.0"], conv([3, 32], 3).stride(2).same(), x);
    let (mut channels, mut number) = (32, 0);
    for [expansion, wide, repetitions, stride] in BOTTLENECKS {
        for repetition in 0..repetitions {
            number += 1;
            let stride = if repetition == 0 { stride } else { 1 };
            x = bottleneck(&mut graph, number, x, [channels, expansion * channels, wide], stride);
            channels = wide;
        }
    }
    let x = layer(&mut graph, "features.18", &["features.18"], conv([channels, 1280], 1), x);
    let x = graph.global_pool("adaptive_avg_pool2d", &[], x);
    let x = graph.flatten(&[], x);
    let x = graph.dropout("classifier.0", &[], x);
    graph.linear("classifier.1", &["logits"], [1280, CLASSES], x);
    graph.finish()
}

/// An inverted residual: to more channels, each of them alone, to few again; the input is added where the shapes agree.
fn bottleneck(
    graph: &mut Builder,
    number: usize,
    input: NodeId,
    [channels, expanded, wide]: [usize; 3],
    stride: usize,
) -> NodeId {
    let (name, aliases) = (format!("features.{number}"), [format!("features.{number}"), format!("bottleneck{number}")]);
    let aliases = aliases.each_ref().map(String::as_str);
    let mut layers = vec![conv([expanded, expanded], 3).stride(stride).same().depthwise()];
    if expanded != channels {
        layers.insert(0, conv([channels, expanded], 1));
    }
    let part = |i: usize| format!("{name}.conv.{i}");
    let x = layers.iter().enumerate().fold(input, |x, (i, conv)| layer(graph, &part(i), &[], *conv, x));

    let residual = stride == 1 && channels == wide;
    let x = graph.conv_without_bias(&part(layers.len()), &[], conv([expanded, wide], 1), x);
    let x = graph.batch_norm(&part(layers.len() + 1), if residual { &[] } else { &aliases }, wide, EPS, x);
    if residual { graph.add(&format!("{name}.add"), &aliases, Op::Add, &[input, x]) } else { x }
}

/// A convolution with batch normalisation and ReLU6.
fn layer(graph: &mut Builder, name: &str, aliases: &[&str], conv: Conv, input: NodeId) -> NodeId {
    let x = graph.conv_bn([&format!("{name}.0"), &format!("{name}.1")], conv, EPS, input);
    graph.relu6(&format!("{name}.2"), aliases, x)
}
