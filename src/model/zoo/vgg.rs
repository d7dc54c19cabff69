//! VGG (Simonyan & Zisserman, 2015, arXiv:1409.1556), with and without batch normalisation.
//!
//! Canonical names are those of torchvision's `vgg11` … `vgg19_bn`; aliases are those of the authors' Caffe networks.

use super::CLASSES;
use super::layers::conv;
use crate::error::Result;
use crate::model::{Builder, Graph, Op};
use crate::tensor::Pool2dParams;

/// Channels of the five stages; a pooling ends each.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

/// `[N, 3, H, W]` to `[N, 1000]`, given how many convolutions each stage has.
pub(super) fn vgg(convolutions: [usize; 5], batch_norm: bool) -> Result<Graph> {
    let (mut graph, mut x) = Builder::new(3);
    let mut channels = 3;
    let mut names = (0..).map(|index| format!("features.{index}"));
    let mut name = || names.next().unwrap_or_default();
    for (stage, (width, count)) in (1..).zip(WIDTHS.into_iter().zip(convolutions)) {
        for layer in (1..=count).map(|number| format!("{stage}_{number}")) {
            x = graph.conv(&name(), &[&format!("conv{layer}")], conv([channels, width], 3).same(), x);
            if batch_norm {
                x = graph.batch_norm(&name(), &[&format!("bn{layer}")], width, 1e-5, x);
            }
            x = graph.relu(&name(), &[&format!("relu{layer}")], x);
            channels = width;
        }
        x = graph.max_pool(&name(), &[&format!("pool{stage}")], Pool2dParams::new(2, 2, 0), x);
    }
    let x = graph.add("avgpool", &[], Op::AdaptiveAvgPool2d([7, 7]), &[x]);
    let x = graph.flatten(&[], x);
    let x = graph.linear("classifier.0", &["fc6"], [channels * 7 * 7, 4096], x);
    let x = graph.relu("classifier.1", &["relu6"], x);
    let x = graph.dropout("classifier.2", &["drop6"], x);
    let x = graph.linear("classifier.3", &["fc7"], [4096, 4096], x);
    let x = graph.relu("classifier.4", &["relu7"], x);
    let x = graph.dropout("classifier.5", &["drop7"], x);
    graph.linear("classifier.6", &["fc8", "logits"], [4096, CLASSES], x);
    graph.finish()
}
