//! A small network, trained in seconds.

use crate::error::Result;
use crate::model::{Answer, AnswerKind, Builder, Channels, Classes, Conv2d, InputRecipe, Linear, Model, Op, Weights};
use crate::tensor::Conv2dParams;

/// Channels of its three convolutions, their kernel sizes and strides.
const CONVOLUTIONS: [(usize, usize, usize); 3] = [(16, 5, 2), (32, 3, 2), (64, 3, 2)];

/// An untrained classifier of square colour images: three convolutions with ReLU, 5×5 to 16, 3×3 to 32 and 3×3 to 64 channels,
/// each by a stride of 2, then their mean over the image, and a linear layer.
///
/// # Errors
/// There is no class.
pub fn small_classifier(name: &str, classes: Vec<String>, size: usize, seed: u64) -> Result<Model> {
    let (mut graph, mut x) = Builder::new(3);
    let mut channels = 3;
    for (index, (out_channels, kernel, stride)) in CONVOLUTIONS.into_iter().enumerate() {
        let layer = format!("conv{}", index + 1);
        let conv = Conv2d {
            in_channels: channels,
            out_channels,
            kernel: [kernel; 2],
            params: Conv2dParams::new(stride, kernel / 2),
            weight: format!("{layer}.weight"),
            bias: Some(format!("{layer}.bias")),
        };
        x = graph.add(&layer, &[], Op::Conv2d(conv), &[x]);
        x = graph.add(&format!("relu{}", index + 1), &[], Op::RELU, &[x]);
        channels = out_channels;
    }
    x = graph.add("pool", &[], Op::GLOBAL_AVG_POOL, &[x]);
    x = graph.add("flatten", &[], Op::Flatten, &[x]);
    let (weight, bias) = ("linear.weight".to_owned(), Some("linear.bias".to_owned()));
    let linear = Linear { in_features: channels, out_features: classes.len(), weight, bias };
    graph.add("linear", &[], Op::Linear(linear), &[x]);
    let graph = graph.finish()?;
    let weights = Weights::random(&graph, seed)?;
    let outputs = classes.len();
    let answer = Answer::new(AnswerKind::Softmax, Some(Classes::from_names(classes)), outputs)?;
    let plain = InputRecipe::plain(Channels::Rgb, size, size);
    let recipe = InputRecipe { mean: vec![0.5; 3], std: vec![0.25; 3], ..plain };
    Model::new(name, graph, weights, answer, recipe)
}
