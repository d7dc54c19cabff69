//! SqueezeNet (Iandola et al., 2016, arXiv:1602.07360), versions 1.0 and 1.1.
//!
//! Canonical names are those of torchvision's `squeezenet1_0` and `squeezenet1_1`; aliases are those of the authors'
//! Caffe networks.

use super::CLASSES;
use super::layers::{ceil, conv};
use crate::error::Result;
use crate::model::{Builder, Channels, Graph, InputRecipe, NodeId, Op};
use crate::tensor::Pool2dParams;

const POOL: Pool2dParams = ceil(Pool2dParams::new(3, 2, 0));

/// Version 1.0: `[N, 3, H, W]` to `[N, 1000]`.
pub fn squeezenet1_0() -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let x = graph.conv("features.0", &["conv1"], conv([3, 96], 7).stride(2), x);
    let x = graph.relu("features.1", &["relu_conv1"], x);
    let x = graph.max_pool("features.2", &["pool1"], POOL, x);
    let x = fire(&mut graph, 3, 2, x, 96, 16, 64);
    let x = fire(&mut graph, 4, 3, x, 128, 16, 64);
    let x = fire(&mut graph, 5, 4, x, 128, 32, 128);
    let x = graph.max_pool("features.6", &["pool4"], POOL, x);
    let x = fire(&mut graph, 7, 5, x, 256, 32, 128);
    let x = fire(&mut graph, 8, 6, x, 256, 48, 192);
    let x = fire(&mut graph, 9, 7, x, 384, 48, 192);
    let x = fire(&mut graph, 10, 8, x, 384, 64, 256);
    let x = graph.max_pool("features.11", &["pool8"], POOL, x);
    let x = fire(&mut graph, 12, 9, x, 512, 64, 256);
    classifier(graph, x)
}

/// Version 1.1: `[N, 3, H, W]` to `[N, 1000]`.
pub fn squeezenet1_1() -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let x = graph.conv("features.0", &["conv1"], conv([3, 64], 3).stride(2), x);
    let x = graph.relu("features.1", &["relu_conv1"], x);
    let x = graph.max_pool("features.2", &["pool1"], POOL, x);
    let x = fire(&mut graph, 3, 2, x, 64, 16, 64);
    let x = fire(&mut graph, 4, 3, x, 128, 16, 64);
    let x = graph.max_pool("features.5", &["pool3"], POOL, x);
    let x = fire(&mut graph, 6, 4, x, 128, 32, 128);
    let x = fire(&mut graph, 7, 5, x, 256, 32, 128);
    let x = graph.max_pool("features.8", &["pool5"], POOL, x);
    let x = fire(&mut graph, 9, 6, x, 256, 48, 192);
    let x = fire(&mut graph, 10, 7, x, 384, 48, 192);
    let x = fire(&mut graph, 11, 8, x, 384, 64, 256);
    let x = fire(&mut graph, 12, 9, x, 512, 64, 256);
    classifier(graph, x)
}

/// The input of the embedded weights of version 1.1, which were trained with Caffe.
pub fn recipe() -> InputRecipe {
    InputRecipe { range: 255.0, mean: vec![104.0, 117.0, 123.0], ..InputRecipe::plain(Channels::Bgr, 227, 227) }
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
        let x = graph.conv(&name, &[&alias], conv(channels, kernel).same(), input);
        graph.relu(&format!("{name}_activation"), &[&format!("fire{number}/relu_{caffe}")], x)
    };
    let squeeze = part("squeeze", "squeeze1x1", input, [channels, squeezed], 1);
    let one = part("expand1x1", "expand1x1", squeeze, [squeezed, expanded], 1);
    let three = part("expand3x3", "expand3x3", squeeze, [squeezed, expanded], 3);
    let name = format!("features.{index}");
    let aliases = [&*format!("fire{number}"), &*format!("fire{number}/concat"), &*format!("{name}.cat")];
    graph.add(&name, &aliases, Op::Concat, &[one, three])
}

fn classifier(mut graph: Builder, x: NodeId) -> Result<Graph> {
    let x = graph.dropout("classifier.0", &["drop9"], x);
    let x = graph.conv("classifier.1", &["conv10"], conv([512, CLASSES], 1), x);
    let x = graph.relu("classifier.2", &["relu_conv10"], x);
    let x = graph.global_pool("classifier.3", &["pool10"], x);
    graph.flatten(&["logits"], x);
    graph.finish()
}
