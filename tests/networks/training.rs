//! Weights that are variables: their gradients through a model, and steps along them.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use percept::job::Interrupt;
use percept::model::{
    BatchNorm, Builder, Channels, Classes, Conv2d, Executor, Graph, InputRecipe, Linear, Model, Op, Planned, Reference,
    Rules, Run, Weights,
};
use percept::tensor::{Conv2dParams, Pool2dParams};

/// Numbers in [−1, 1] without a pattern that matters.
fn numbers(seed: usize, shape: &[usize]) -> Tensor {
    let number = |i: usize| ((i * i * 7 + i * 31 + seed * 101) % 257) as f32 / 128.0 - 1.0;
    let values: Vec<f32> = (0..shape.iter().product()).map(number).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Two convolutions with batch-norm, ReLU and pooling between them, and a linear layer with four answers.
fn graph() -> Graph {
    let conv = |name: &str, in_channels, out_channels| {
        let (weight, bias) = (format!("{name}.weight"), Some(format!("{name}.bias")));
        Op::Conv2d(Conv2d { in_channels, out_channels, kernel: [3, 3], params: Conv2dParams::new(1, 1), weight, bias })
    };
    let [weight, bias, mean, var] = ["weight", "bias", "mean", "var"].map(|part| format!("bn.{part}"));
    let (mut graph, x) = Builder::new(3);
    let x = graph.add("conv1", &[], conv("conv1", 3, 8), &[x]);
    let x = graph.add("bn1", &[], Op::BatchNorm(BatchNorm { channels: 8, weight, bias, mean, var, eps: 1e-5 }), &[x]);
    let x = graph.add("relu1", &[], Op::RELU, &[x]);
    let x = graph.add("pool1", &[], Op::MaxPool2d(Pool2dParams::new(2, 2, 0)), &[x]);
    let x = graph.add("conv2", &[], conv("conv2", 8, 6), &[x]);
    let x = graph.add("pool2", &[], Op::GLOBAL_AVG_POOL, &[x]);
    let x = graph.add("flatten", &[], Op::Flatten, &[x]);
    let (weight, bias) = ("fc.weight".to_owned(), Some("fc.bias".to_owned()));
    graph.add("fc", &[], Op::Linear(Linear { in_features: 6, out_features: 4, weight, bias }), &[x]);
    graph.finish().unwrap()
}

/// Variables for all parameters; variances are positive.
fn variables(graph: &Graph) -> Vec<(String, Var)> {
    let variable = |(seed, parameter): (usize, percept::model::Parameter)| {
        let value = numbers(seed, &parameter.shape);
        let value = if parameter.name.ends_with("var") { value + 2.0 } else { value * 0.4 }.unwrap();
        (parameter.name, Var::from_tensor(&value).unwrap())
    };
    graph.parameters().into_iter().enumerate().map(variable).collect()
}

fn weights(variables: &[(String, Var)]) -> Weights {
    Weights::new(variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()))).unwrap()
}

fn loss(answers: &Tensor) -> Tensor {
    (answers - numbers(99, answers.dims())).unwrap().sqr().unwrap().mean_all().unwrap()
}

#[test]
fn steps_against_the_gradient_lower_the_loss() {
    let graph = graph();
    let variables = variables(&graph);
    let recipe = InputRecipe::plain(Channels::Rgb, 10, 10);
    let model = Model::new("small", graph, weights(&variables), Classes::from_lines("a\nb\nc\nd"), recipe).unwrap();
    let x = numbers(50, &[4, 3, 10, 10]);
    let mut losses = Vec::new();
    for _ in 0..30 {
        let loss = loss(&model.forward(&x, &Interrupt::never()).unwrap());
        let gradients = loss.backward().unwrap();
        losses.push(loss.to_scalar::<f32>().unwrap());
        for (name, var) in variables.iter().filter(|(name, _)| !name.ends_with("mean") && !name.ends_with("var")) {
            let gradient = gradients.get(var).unwrap_or_else(|| panic!("no gradient for {name}"));
            var.set(&(var.as_tensor() - (gradient * 0.05).unwrap()).unwrap()).unwrap();
        }
    }
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    assert!(losses[29] < 0.8 * losses[0], "{losses:?}");
}

#[test]
fn gradients_for_weights_are_slopes() {
    let graph = Arc::new(graph());
    let variables = variables(&graph);
    let x = Var::from_tensor(&numbers(51, &[2, 3, 10, 10])).unwrap();
    let (taps, rules, interrupt) = ([graph.output()], Rules::default(), Interrupt::never());
    let run = Run::new(&taps, &rules, &interrupt);
    let executor = Planned::new(graph.clone(), Arc::new(weights(&variables)));
    let score = |x: &Tensor| loss(&executor.run(std::slice::from_ref(x), &run).unwrap()[0]);
    let gradients = score(&x).backward().unwrap();

    // the gradient for the input is the same as with weights that are no variables
    let fixed = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().copy().unwrap().detach()));
    let fixed = Reference::new(graph.clone(), Arc::new(Weights::new(fixed).unwrap()));
    let truth =
        loss(&fixed.run(std::slice::from_ref(x.as_tensor()), &run).unwrap()[0]).backward().unwrap().remove(&x).unwrap();
    let off = (gradients.get(&x).unwrap() - truth).unwrap().abs().unwrap().max_all().unwrap();
    assert!(off.to_scalar::<f32>().unwrap() < 1e-6);

    // and the loss changes along each weight's gradient as that says
    for (name, var) in &variables {
        let (kept, gradient) = (var.as_tensor().copy().unwrap().detach(), gradients.get(var).unwrap());
        let square = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let step = f64::from(2e-3 / square.sqrt());
        let at = |by: f64| {
            var.set(&(&kept + (gradient * by).unwrap()).unwrap()).unwrap();
            score(&x.as_detached_tensor()).to_scalar::<f32>().unwrap()
        };
        let measured = (at(step) - at(-step)) / (2.0 * step as f32);
        at(0.0);
        assert!((measured - square).abs() < 0.05 * square, "{name}: {measured} instead of {square}");
    }
}
