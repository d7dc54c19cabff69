//! AlexNet in one column (Krizhevsky, 2014, "One weird trick for parallelizing convolutional neural networks",
//! arXiv:1404.5997).
//!
//! Canonical names are those of torchvision's `alexnet`; aliases are those of Caffe's AlexNet.

use super::CLASSES;
use super::layers::conv;
use crate::error::Result;
use crate::model::{Builder, Graph, Op};
use crate::tensor::Pool2dParams;

/// `[N, 3, H, W]` to `[N, 1000]`.
pub(super) fn alexnet() -> Result<Graph> {
    const POOL: Pool2dParams = Pool2dParams::new(3, 2, 0);
    let (mut graph, x) = Builder::new(3);
    let x = graph.conv("features.0", &[], conv([3, 64], 11).stride(4).padding(2), x);
    let x = graph.relu("features.1", &[], x);
    let x = graph.max_pool("features.2", &[], POOL, x);
    let x = graph.conv("features.3", &[], conv([64, 192], 5).same(), x);
    let x = graph.relu("features.4", &[], x);
    let x = graph.max_pool("features.5", &[], POOL, x);
    let x = graph.conv("features.6", &[], conv([192, 384], 3).same(), x);
    let x = graph.relu("features.7", &[], x);
    let x = graph.conv("features.8", &[], conv([384, 256], 3).same(), x);
    let x = graph.relu("features.9", &[], x);
    let x = graph.conv("features.10", &[], conv([256, 256], 3).same(), x);
    let x = graph.relu("features.11", &[], x);
    let x = graph.max_pool("features.12", &["pool5"], POOL, x);
    let x = graph.add("avgpool", &[], Op::AdaptiveAvgPool2d([6, 6]), &[x]);
    let x = graph.flatten(&[], x);
    let x = graph.dropout("classifier.0", &[], x);
    let x = graph.linear("classifier.1", &["fc6"], [256 * 6 * 6, 4096], x);
    let x = graph.relu("classifier.2", &["relu6"], x);
    let x = graph.dropout("classifier.3", &["drop6"], x);
    let x = graph.linear("classifier.4", &["fc7"], [4096, 4096], x);
    let x = graph.relu("classifier.5", &["relu7"], x);
    graph.linear("classifier.6", &["fc8", "logits"], [4096, CLASSES], x);
    graph.finish()
}
