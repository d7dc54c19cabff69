//! The toys that attribution methods are tested on, as tools/golden/attribution/common.py has them.

use candle_core::{Device, Tensor};
use percept::model::{Answer, AnswerKind, Builder, Channels, Conv2d, InputRecipe, Linear, Model, NodeId, Op, Weights};
use percept::tensor::Conv2dParams;

/// The toy of a name.
pub fn toy(name: &str) -> Option<Model> {
    match name {
        "toy" => Some(convolutional()),
        "two_numbers" => Some(two_numbers()),
        _ => None,
    }
}

/// Captum's `BasicModel_ConvNet_One_Conv`: two 3×3 filters of ones, ReLU, a linear layer, ReLU.
fn convolutional() -> Model {
    let (mut graph, x) = Builder::new(1);
    let (weight, bias, params) = ("conv1.weight".to_owned(), Some("conv1.bias".to_owned()), Conv2dParams::default());
    let conv = Conv2d { in_channels: 1, out_channels: 2, kernel: [3, 3], params, weight, bias };
    let x = graph.add("conv1", &[], Op::Conv2d(conv), &[x]);
    let x = graph.add("relu1", &[], Op::RELU, &[x]);
    let weights = vec![
        ("conv1.weight".to_owned(), tensor(&[1.0; 18], &[2, 1, 3, 3])),
        ("conv1.bias".to_owned(), tensor(&[-50.0, -75.0], &[2])),
        ("fc1.weight".to_owned(), tensor(&[1f32, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0].repeat(4), &[4, 8])),
        ("fc1.bias".to_owned(), tensor(&[0.0; 4], &[4])),
    ];
    model("toy", graph, x, [8, 4], weights, (4, 4, 15.0))
}

/// relu(relu(a) − 1 − relu(b)), the toy of the paper on integrated gradients.
fn two_numbers() -> Model {
    let (mut graph, x) = Builder::new(1);
    let x = graph.add("relu1", &[], Op::RELU, &[x]);
    let weights =
        vec![("fc1.weight".to_owned(), tensor(&[1.0, -1.0], &[1, 2])), ("fc1.bias".to_owned(), tensor(&[-1.0], &[1]))];
    model("two_numbers", graph, x, [2, 1], weights, (1, 2, 3.0))
}

/// What both end in: a linear layer and a ReLU, whose numbers are values. The input is a grey picture of a height, a width and a
/// number that is white.
fn model(
    name: &str,
    mut graph: Builder,
    x: NodeId,
    [in_features, out_features]: [usize; 2],
    weights: Vec<(String, Tensor)>,
    (height, width, range): (usize, usize, f64),
) -> Model {
    let x = graph.add("flatten", &[], Op::Flatten, &[x]);
    let (weight, bias) = ("fc1.weight".to_owned(), Some("fc1.bias".to_owned()));
    let x = graph.add("fc1", &[], Op::Linear(Linear { in_features, out_features, weight, bias }), &[x]);
    graph.add("relu2", &[], Op::RELU, &[x]);
    let answer = Answer::new(AnswerKind::Regression, None, out_features).unwrap();
    let recipe = InputRecipe { range, ..InputRecipe::plain(Channels::Grey, height, width) };
    Model::new(name, graph.finish().unwrap(), Weights::new(weights).unwrap(), answer, recipe).unwrap()
}

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}
