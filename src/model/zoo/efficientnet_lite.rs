//! EfficientNet-Lite (the TensorFlow team, 2020): EfficientNet (Tan & Le, 2019, arXiv:1905.11946) with ReLU6 and without
//! squeeze-and-excitation.
//!
//! Canonical names are those of the Python package `efficientnet_lite_pytorch`, whose weights are the TensorFlow team's;
//! aliases are TensorFlow's names of whole parts (`stem`, `blocks_0`, `head`).

use super::CLASSES;
use super::layers::{Conv, conv};
use crate::error::Result;
use crate::model::{Builder, Graph, InputRecipe, NodeId, Op};

const EPS: f64 = 1e-3;

/// Expansion, channels, repetitions, stride of the first, kernel.
const STAGES: [[usize; 5]; 7] = [
    [1, 16, 1, 1, 3],
    [6, 24, 2, 2, 3],
    [6, 40, 2, 2, 5],
    [6, 80, 3, 2, 3],
    [6, 112, 3, 1, 5],
    [6, 192, 4, 2, 5],
    [6, 320, 1, 1, 3],
];

/// The smallest: `[N, 3, H, W]` to `[N, 1000]`.
pub(super) fn efficientnet_lite0() -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let x = graph.conv_bn(["_conv_stem", "_bn0"], tensorflow_same(conv([3, 32], 3), 3, 2), EPS, x);
    let mut x = graph.relu6("_swish", &["stem"], x);
    let (mut channels, mut number) = (32, 0);
    for [expansion, wide, repetitions, stride, kernel] in STAGES {
        for repetition in 0..repetitions {
            let stride = if repetition == 0 { stride } else { 1 };
            x = block(&mut graph, number, x, [channels, expansion * channels, wide], kernel, stride);
            channels = wide;
            number += 1;
        }
    }
    let x = graph.conv_bn(["_conv_head", "_bn1"], conv([channels, 1280], 1), EPS, x);
    let x = graph.relu6("_swish_1", &["head"], x);
    let x = graph.global_pool("_avg_pooling", &[], x);
    let x = graph.flatten(&[], x);
    let x = graph.dropout("_dropout", &[], x);
    graph.linear("_fc", &["logits"], [1280, CLASSES], x);
    graph.finish()
}

/// The input that the TensorFlow team trained with (`MEAN_RGB` 127, `STDDEV_RGB` 128). The package's own example has
/// torchvision's mean and deviation instead, with which the same weights recognise fewer pictures.
pub(super) fn recipe() -> InputRecipe {
    InputRecipe { range: 255.0, mean: vec![127.0; 3], std: vec![128.0; 3], ..InputRecipe::torchvision() }
}

/// An inverted residual: to more channels, each of them alone, to few again; the input is added where the shapes agree.
fn block(
    graph: &mut Builder,
    number: usize,
    input: NodeId,
    [channels, expanded, wide]: [usize; 3],
    kernel: usize,
    stride: usize,
) -> NodeId {
    let part = |part: &str| format!("_blocks.{number}.{part}");
    let depthwise = tensorflow_same(conv([expanded, expanded], kernel).depthwise(), kernel, stride);
    let (x, second) = if expanded == channels {
        (input, "_swish")
    } else {
        let x = graph.conv_bn([&part("_expand_conv"), &part("_bn0")], conv([channels, expanded], 1), EPS, input);
        (graph.relu6(&part("_swish"), &[], x), "_swish_1")
    };
    let x = graph.conv_bn([&part("_depthwise_conv"), &part("_bn1")], depthwise, EPS, x);
    let x = graph.relu6(&part(second), &[], x);

    let residual = stride == 1 && channels == wide;
    let aliases = [&*format!("blocks_{number}"), &*format!("_blocks.{number}")];
    let x = graph.conv_without_bias(&part("_project_conv"), &[], conv([expanded, wide], 1), x);
    let x = graph.batch_norm(&part("_bn2"), if residual { &[] } else { &aliases }, wide, EPS, x);
    if residual { graph.add(&part("add"), &aliases, Op::Add, &[x, input]) } else { x }
}

/// TensorFlow's "same" padding of an image of even size; the odd pixel goes to the bottom and the right. Like the package,
/// it is fixed for 224×224, where every strided layer finds an even size.
const fn tensorflow_same(conv: Conv, kernel: usize, stride: usize) -> Conv {
    let total = kernel - stride;
    let sides = [total / 2, total - total / 2];
    conv.stride(stride).padded([sides; 2])
}
