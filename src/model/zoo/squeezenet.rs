//! SqueezeNet (Iandola et al., 2016, arXiv:1602.07360), version 1.1.
//!
//! Canonical names are those of torchvision's `squeezenet1_1`; aliases are those of the authors' Caffe network.

use crate::error::Result;
use crate::model::{Builder, ChannelOrder, Conv2d, Graph, InputRecipe, NodeId, Op, ResizeRule};
use crate::tensor::{Conv2dParams, MaxPool2dParams};

/// The network of version 1.1: `[N, 3, H, W]` to `[N, 1000]`.
pub fn squeezenet1_1() -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let x = conv(&mut graph, "features.0", "conv1", x, [3, 64], 3, 2, 0);
    let x = graph.add("features.1", &["relu_conv1"], Op::Relu, &[x]);
    let x = pool(&mut graph, "features.2", "pool1", x);
    let x = fire(&mut graph, 3, 2, x, 64, 16, 64);
    let x = fire(&mut graph, 4, 3, x, 128, 16, 64);
    let x = pool(&mut graph, "features.5", "pool3", x);
    let x = fire(&mut graph, 6, 4, x, 128, 32, 128);
    let x = fire(&mut graph, 7, 5, x, 256, 32, 128);
    let x = pool(&mut graph, "features.8", "pool5", x);
    let x = fire(&mut graph, 9, 6, x, 256, 48, 192);
    let x = fire(&mut graph, 10, 7, x, 384, 48, 192);
    let x = fire(&mut graph, 11, 8, x, 384, 64, 256);
    let x = fire(&mut graph, 12, 9, x, 512, 64, 256);
    let x = graph.add("classifier.0", &["drop9"], Op::Dropout, &[x]);
    let x = conv(&mut graph, "classifier.1", "conv10", x, [512, 1000], 1, 1, 0);
    let x = graph.add("classifier.2", &["relu_conv10"], Op::Relu, &[x]);
    let x = graph.add("classifier.3", &["pool10"], Op::GlobalAvgPool, &[x]);
    graph.add("flatten", &["logits"], Op::Flatten, &[x]);
    graph.finish()
}

/// The input of the embedded weights, which were trained with Caffe.
pub fn recipe() -> InputRecipe {
    InputRecipe {
        size: 227,
        order: ChannelOrder::Bgr,
        range: 255.0,
        mean: [104.0, 117.0, 123.0],
        std: [1.0; 3],
        resize: ResizeRule::CenterCrop { shorter: 227 },
    }
}

/// A fire module: squeeze to few channels, expand by 1×1 and by 3×3, and join both.
fn fire(
    graph: &mut Builder,
    index: usize,
    number: usize,
    input: NodeId,
    channels: usize,
    squeezed: usize,
    expanded: usize,
) -> NodeId {
    let mut part = |part: &str, caffe: &str, input, channels, kernel| {
        let (name, alias) = (format!("features.{index}.{part}"), format!("fire{number}/{caffe}"));
        let x = conv(graph, &name, &alias, input, channels, kernel, 1, kernel / 2);
        graph.add(&format!("{name}_activation"), &[&format!("fire{number}/relu_{caffe}")], Op::Relu, &[x])
    };
    let squeeze = part("squeeze", "squeeze1x1", input, [channels, squeezed], 1);
    let one = part("expand1x1", "expand1x1", squeeze, [squeezed, expanded], 1);
    let three = part("expand3x3", "expand3x3", squeeze, [squeezed, expanded], 3);
    let aliases = [&*format!("fire{number}"), &*format!("fire{number}/concat")];
    graph.add(&format!("features.{index}"), &aliases, Op::Concat, &[one, three])
}

#[expect(clippy::too_many_arguments, reason = "one line per layer above, in the order papers write them")]
fn conv(
    graph: &mut Builder,
    name: &str,
    alias: &str,
    input: NodeId,
    [in_channels, out_channels]: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
) -> NodeId {
    let op = Op::Conv2d(Conv2d {
        in_channels,
        out_channels,
        kernel: [kernel; 2],
        params: Conv2dParams { stride, padding, ..Conv2dParams::default() },
        weight: format!("{name}.weight"),
        bias: Some(format!("{name}.bias")),
    });
    graph.add(name, &[alias], op, &[input])
}

fn pool(graph: &mut Builder, name: &str, alias: &str, input: NodeId) -> NodeId {
    let params = MaxPool2dParams { kernel: 3, stride: 2, padding: 0, ceil_mode: true };
    graph.add(name, &[alias], Op::MaxPool2d(params), &[input])
}
