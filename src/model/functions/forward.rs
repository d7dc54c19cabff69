//! What a network answers.

use rhai::Map;

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, IntoValue, function};
use crate::model::{Input, Layer, LayerName, Model, Network, NodeId, Rules, Run};
use crate::tensor::TensorValue;

/// The names of the classes of a model; of a single logit or probability, both classes.
///
/// ```rhai
/// classes()[105]
/// ```
#[function]
fn classes(job: &Job, #[options] network: &Network) -> Result<Vec<String>> {
    Ok(network.get(job)?.classes().names().to_vec())
}

/// What a network computes of each image: its output [N, outputs], or with `layers` the activations of these.
///
/// The output is logits if it becomes probabilities by a softmax or a sigmoid, also where the network's file ends in
/// one. The model says what its output is.
///
/// The activations of layers come as a map from each name, as it was given, to a tensor [N, channels, height, width];
/// nothing behind the last of them is computed. With `from` the run starts behind that layer, so that `grad` can take
/// the gradient at any layer. Differentiable.
///
/// ```rhai
/// forward(photo("chelsea")).argmax()
/// ```
///
/// ```rhai
/// let seen = forward(photo("chelsea"), layers=["fire3", "fire9"]);
/// grad(|fire9| forward(fire9, from="fire9")[0][285], seen.fire9).shape
/// ```
#[function]
fn forward(
    job: &Job,
    /// An image, or a tensor [N, channels, height, width] in the network's input space, as `prepare` makes it; with
    /// `from`, the activations of that layer.
    x: &Input,
    /// The layers whose activations are wanted: themselves or any of their names.
    #[default]
    layers: Option<Vec<LayerName>>,
    /// The layer whose activations `x` holds; what is wanted must depend on nothing before it.
    #[default]
    from: Option<LayerName>,
    #[options] network: &Network,
) -> Result<Outputs> {
    let handle = layers.iter().flatten().chain(&from).find_map(LayerName::handle);
    let model = network.clone().or(handle.map(Layer::model)).get(job)?;
    let layer = |name: &LayerName, argument: &str| name.find(&model).map_err(|error| error.at_argument(argument));
    let start = from.as_ref().map(|name| layer(name, "from")).transpose()?;
    let Some(names) = layers else {
        let output = run(job, &model, x, start.as_ref(), &[model.output()])?.pop();
        return output.map(Outputs::Output).ok_or_else(|| Error::new(Kind::Internal, "a run returned nothing"));
    };
    if names.is_empty() {
        let error = Error::new(Kind::Argument, "forward: `layers` is empty").at_argument("layers");
        return Err(error.with_hint("without `layers` it returns the network's output"));
    }
    let wanted = names.iter().map(|name| layer(name, "layers")).collect::<Result<Vec<_>>>()?;
    let names = names.iter().zip(&wanted).map(|(name, layer)| match name {
        LayerName::Name(name) => name.as_str().into(),
        LayerName::Handle(_) => layer.name().into(),
    });
    let values = run(job, &model, x, start.as_ref(), &wanted)?;
    Ok(Outputs::Layers(names.zip(values.into_iter().map(IntoValue::into_value)).collect()))
}

/// The values of some layers for an input, or for the activations of the layer that the run starts behind.
fn run(job: &Job, model: &Model, x: &Input, start: Option<&Layer>, wanted: &[Layer]) -> Result<Vec<TensorValue>> {
    if let (Some(start), Input::Image(_)) = (start, x) {
        let message = format!("forward: `x` is an image; with `from` it holds the activations of {}", start.name());
        return Err(Error::new(Kind::Argument, message).at_argument("x"));
    }
    let taps: Vec<NodeId> = wanted.iter().map(Layer::id).collect();
    let (from, rules) = ([start.map_or(NodeId::INPUT, Layer::id)], Rules::default());
    let run = Run { from: &from, ..Run::new(&taps, &rules, job.interrupt()) };
    let values = model.run_with(&[x.tensor(model)?], &run).map_err(|error| {
        // what is wanted does not follow from the layer, or the values are not of the right shape
        let fault = if start.is_some() && error.kind() == Kind::Argument { "from" } else { "x" };
        error.at_argument(fault)
    })?;
    Ok(values.into_iter().map(TensorValue::from).collect())
}

/// The output of a network, or the activations of some of its layers by name.
enum Outputs {
    Output(TensorValue),
    Layers(Map),
}

impl IntoValue for Outputs {
    // as a rule, and so for completion
    const NAME: &'static str = "tensor";
    fn into_value(self) -> Dynamic {
        match self {
            Self::Output(output) => output.into_value(),
            Self::Layers(layers) => layers.into_value(),
        }
    }
}

/// The probability of each class, for each image: [N, classes], from 0 to 1. They sum to 1 unless the classes are
/// independent. A regression gives its values.
///
/// ```rhai
/// probabilities(photo("chelsea")).max()
/// ```
#[function]
fn probabilities(
    job: &Job,
    /// An image, or a tensor [N, channels, height, width] that is already in the network's input space.
    x: Input,
    #[options] network: &Network,
) -> Result<TensorValue> {
    let model = network.get(job)?;
    let output = model.forward(&x.tensor(&model)?, job.interrupt()).map_err(|error| error.at_argument("x"))?;
    Ok(model.answer().probabilities(&output)?.into())
}
