//! GoogLeNet with batch normalisation (Szegedy et al., 2015, arXiv:1409.4842; Ioffe & Szegedy, 2015, arXiv:1502.03167).
//!
//! Canonical names are those of torchvision's `googlenet`; aliases are those of Caffe's GoogLeNet (`inception_3a/1x1`)
//! and, for whole modules, Lucid's (`mixed3a`). The auxiliary classifiers only serve training and are not built.

use super::CLASSES;
use super::layers::{Conv, ceil, conv};
use crate::error::Result;
use crate::model::{Builder, Graph, NodeId, Op};
use crate::tensor::Pool2dParams;

const POOL: Pool2dParams = ceil(Pool2dParams::new(3, 2, 0));

/// `[N, 3, H, W]` to `[N, 1000]`.
pub(super) fn googlenet() -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let x = layer(&mut graph, "conv1", ["conv1", "7x7_s2"], conv([3, 64], 7).stride(2).same(), x);
    let x = graph.max_pool("maxpool1", &["pool1/3x3_s2"], POOL, x);
    let x = layer(&mut graph, "conv2", ["conv2", "3x3_reduce"], conv([64, 64], 1), x);
    let x = layer(&mut graph, "conv3", ["conv2", "3x3"], conv([64, 192], 3).same(), x);
    let x = graph.max_pool("maxpool2", &["pool2/3x3_s2"], POOL, x);
    let x = inception(&mut graph, "3a", x, 192, 64, [96, 128], [16, 32], 32);
    let x = inception(&mut graph, "3b", x, 256, 128, [128, 192], [32, 96], 64);
    let x = graph.max_pool("maxpool3", &["pool3/3x3_s2"], POOL, x);
    let x = inception(&mut graph, "4a", x, 480, 192, [96, 208], [16, 48], 64);
    let x = inception(&mut graph, "4b", x, 512, 160, [112, 224], [24, 64], 64);
    let x = inception(&mut graph, "4c", x, 512, 128, [128, 256], [24, 64], 64);
    let x = inception(&mut graph, "4d", x, 512, 112, [144, 288], [32, 64], 64);
    let x = inception(&mut graph, "4e", x, 528, 256, [160, 320], [32, 128], 128);
    // Caffe's window here is 3×3
    let x = graph.max_pool("maxpool4", &["pool4/3x3_s2"], ceil(Pool2dParams::new(2, 2, 0)), x);
    let x = inception(&mut graph, "5a", x, 832, 256, [160, 320], [32, 128], 128);
    let x = inception(&mut graph, "5b", x, 832, 384, [192, 384], [48, 128], 128);
    let x = graph.global_pool("avgpool", &["pool5/7x7_s1"], x);
    let x = graph.flatten(&[], x);
    let x = graph.dropout("dropout", &["pool5/drop_7x7_s1"], x);
    graph.linear("fc", &["loss3/classifier", "logits"], [1024, CLASSES], x);
    graph.finish()
}

/// An inception module: four views of its input, joined. Of pairs, the first is to how many channels the input is
/// reduced.
#[expect(clippy::too_many_arguments, reason = "one line per module above, in the order of the paper's table")]
fn inception(
    graph: &mut Builder,
    module: &str,
    input: NodeId,
    channels: usize,
    one: usize,
    [reduced_three, three]: [usize; 2],
    [reduced_five, five]: [usize; 2],
    projected: usize,
) -> NodeId {
    let (name, caffe) = (format!("inception{module}"), format!("inception_{module}"));
    let mut part = |part: &str, caffe_part: &str, conv, input| {
        layer(graph, &format!("{name}.{part}"), [&caffe, caffe_part], conv, input)
    };
    let branch1 = part("branch1", "1x1", conv([channels, one], 1), input);
    let x = part("branch2.0", "3x3_reduce", conv([channels, reduced_three], 1), input);
    let branch2 = part("branch2.1", "3x3", conv([reduced_three, three], 3).same(), x);
    let x = part("branch3.0", "5x5_reduce", conv([channels, reduced_five], 1), input);
    // 3×3 where the paper has 5×5, as torchvision's weights were trained
    let branch3 = part("branch3.1", "5x5", conv([reduced_five, five], 3).same(), x);
    let window = ceil(Pool2dParams::new(3, 1, 1));
    let x = graph.max_pool(&format!("{name}.branch4.0"), &[&format!("{caffe}/pool")], window, input);
    let projection = [&caffe, "pool_proj"];
    let branch4 = layer(graph, &format!("{name}.branch4.1"), projection, conv([channels, projected], 1), x);
    let aliases = [&caffe, &name, &*format!("mixed{module}"), &*format!("{caffe}/output")];
    graph.add(&format!("{name}.cat"), &aliases, Op::Concat, &[branch1, branch2, branch3, branch4])
}

/// A convolution with batch normalisation and ReLU, and its name in Caffe: `inception_3a/1x1`.
fn layer(graph: &mut Builder, name: &str, [module, caffe]: [&str; 2], conv: Conv, input: NodeId) -> NodeId {
    let relu = format!("{module}/relu_{}", caffe.trim_end_matches("_s2"));
    graph.basic_conv(name, &[&format!("{module}/{caffe}")], &[&relu], conv, input)
}
