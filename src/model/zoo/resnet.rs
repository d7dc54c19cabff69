//! ResNet (He et al., 2016, arXiv:1512.03385), with the stride in the 3×3 convolution ("version 1.5").
//!
//! Canonical names are those of torchvision's `resnet18` … `resnet152`; aliases are those of the modules (`layer1.0`) and
//! of the paper (`conv2_1` for a block, `conv2_x` for all of its size).

use super::CLASSES;
use super::layers::{Conv, conv};
use crate::error::Result;
use crate::model::{Builder, Graph, NodeId, Op};
use crate::tensor::Pool2dParams;

const EPS: f64 = 1e-5;

/// What a residual block is made of.
#[derive(Clone, Copy)]
pub(super) enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1 to fewer channels, 3×3, 1×1 to more.
    Bottleneck,
}

/// `[N, 3, H, W]` to `[N, 1000]`, given how many blocks each of the four stages has.
pub(super) fn resnet(block: Block, depths: [usize; 4]) -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let x = graph.conv_bn(["conv1", "bn1"], conv([3, 64], 7).stride(2).same(), EPS, x);
    let x = graph.relu("relu", &[], x);
    let mut x = graph.max_pool("maxpool", &[], Pool2dParams::new(3, 2, 1), x);
    let mut channels = 64;
    for (stage, depth) in (1..).zip(depths) {
        let width = 32 << stage;
        for number in 1..=depth {
            let name = format!("layer{stage}.{}", number - 1);
            let stride = if stage > 1 && number == 1 { 2 } else { 1 };
            let convolutions = block.convolutions(channels, width, stride);
            let projection = conv([channels, block.widened(width)], 1).stride(stride);
            let projected = stride > 1 || channels != block.widened(width);
            x = residual(&mut graph, &name, &convolutions, projected.then_some(projection), x);

            let (paper, stage_aliases) = (stage + 1, [format!("layer{stage}"), format!("conv{}_x", stage + 1)]);
            let whole: &[String] = if number == depth { &stage_aliases } else { &[] };
            let block_aliases = [name.clone(), format!("conv{paper}_{number}")];
            let aliases: Vec<&str> = whole.iter().chain(&block_aliases).map(String::as_str).collect();
            x = graph.relu(&format!("{name}.relu_{}", convolutions.len() - 1), &aliases, x);
            channels = block.widened(width);
        }
    }
    let x = graph.global_pool("avgpool", &[], x);
    let x = graph.flatten(&[], x);
    graph.linear("fc", &["logits"], [channels, CLASSES], x);
    graph.finish()
}

impl Block {
    fn convolutions(self, channels: usize, width: usize, stride: usize) -> Vec<Conv> {
        let three = |channels| conv([channels, width], 3).same();
        match self {
            Self::Basic => vec![three(channels).stride(stride), three(width)],
            Self::Bottleneck => {
                vec![conv([channels, width], 1), three(width).stride(stride), conv([width, self.widened(width)], 1)]
            }
        }
    }

    /// Channels of the result.
    const fn widened(self, width: usize) -> usize {
        match self {
            Self::Basic => width,
            Self::Bottleneck => 4 * width,
        }
    }
}

/// Convolutions one after the other, plus their input or a projection of it.
fn residual(graph: &mut Builder, name: &str, convolutions: &[Conv], projection: Option<Conv>, input: NodeId) -> NodeId {
    let mut x = input;
    for (i, conv) in convolutions.iter().enumerate() {
        x = match i {
            0 => x,
            1 => graph.relu(&format!("{name}.relu"), &[], x),
            _ => graph.relu(&format!("{name}.relu_{}", i - 1), &[], x),
        };
        x = graph.conv_bn([&format!("{name}.conv{}", i + 1), &format!("{name}.bn{}", i + 1)], *conv, EPS, x);
    }
    let names = ["0", "1"].map(|part| format!("{name}.downsample.{part}"));
    let shortcut = match projection {
        Some(conv) => graph.conv_bn([&names[0], &names[1]], conv, EPS, input),
        None => input,
    };
    graph.add(&format!("{name}.add"), &[], Op::Add, &[x, shortcut])
}
