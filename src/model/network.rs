//! The model itself.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use candle_core::{DType, Tensor};

use super::{
    Answer, AnswerKind, AnswerOf, Channels, Classes, Executor, Graph, InputRecipe, Layer, LayerRow, ModelOptions,
    NodeId, Planned, Pullback, ReceptiveField, Reference, Rules, Run, Scope, Step, Weights, zoo,
};
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::job::Interrupt;
use crate::lang::value_type;
use crate::tensor::check_finite;

value_type!(
    Model,
    "model",
    "a model",
    "A trained network: named operations with their weights, classes and input recipe.",
    made_by = |model: &Model| Some(model.fingerprint())
);

/// The most channels that an untrained network can be built with.
const MOST_CHANNELS: usize = 1024;

/// The weights inside the binary, made lazily.
const EMBEDDED: &[u8] = include_bytes!("../../assets/squeezenet1_1.safetensors");

/// An immutable network with everything needed to run and name it; cheap to clone.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    name: String,
    graph: Arc<Graph>,
    weights: Arc<Weights>,
    answer: Answer,
    recipe: InputRecipe,
    /// Shape of every node for one image of the nominal size.
    shapes: Vec<Vec<usize>>,
    fields: Vec<ReceptiveField>,
    /// For the CPU.
    planned: Planned,
    /// For other devices.
    reference: Reference,
}

impl Model {
    /// The name of the network whose weights are in the program.
    pub const EMBEDDED: &'static str = "squeezenet1_1";

    /// Puts a network together and checks that the parts fit: the weights are the graph's, the graph can take an input
    /// of the recipe's channels and size, and the answer or the class names are for as many numbers as it answers with.
    pub fn new(
        name: &str,
        graph: Graph,
        weights: Weights,
        answer: impl Into<AnswerOf>,
        recipe: InputRecipe,
    ) -> Result<Self> {
        weights.check(&graph)?;
        recipe.check()?;
        let channels = graph.input_channels();
        if recipe.channels.count() != channels {
            let message =
                format!("the recipe is for {} channels, the network takes {channels}", recipe.channels.count());
            return Err(Error::new(Kind::Argument, message));
        }
        let image = [channels, recipe.height, recipe.width];
        let shapes = graph.shapes(image, graph.output())?;
        let answer = answer.into().fit(shapes.last().and_then(|shape| shape.first()).copied().unwrap_or(0))?;
        let fields = graph.receptive_fields(image)?;
        let (graph, weights) = (Arc::new(graph), Arc::new(weights));
        let planned = Planned::new(graph.clone(), weights.clone());
        let reference = Reference::new(graph.clone(), weights.clone());
        let name = name.to_owned();
        Ok(Self(Arc::new(Inner { name, graph, weights, answer, recipe, shapes, fields, planned, reference })))
    }

    /// The same network with its graph edited, and the parameters that the edited graph reads: these are the network's
    /// own and those of its edits. What is prepared for running it is shared.
    pub(super) fn edited(&self, graph: Graph, weights: Arc<Weights>) -> Result<Self> {
        let Inner { name, answer, recipe, planned, .. } = &*self.0;
        let image = [graph.input_channels(), recipe.height, recipe.width];
        let shapes = graph.shapes(image, graph.output())?;
        let fields = graph.receptive_fields(image)?;
        let graph = Arc::new(graph);
        let planned = planned.edited(graph.clone(), weights.clone());
        let reference = Reference::new(graph.clone(), weights.clone());
        let (name, answer, recipe) = (name.clone(), answer.clone(), recipe.clone());
        Ok(Self(Arc::new(Inner { name, graph, weights, answer, recipe, shapes, fields, planned, reference })))
    }

    /// SqueezeNet 1.1 trained on ImageNet, from the binary itself; decoded at first use, then shared.
    pub fn embedded() -> Result<Self> {
        static MODEL: OnceLock<Result<Model>> = OnceLock::new();
        MODEL
            .get_or_init(|| {
                let weights = Weights::from_safetensors(EMBEDDED)?;
                let (graph, recipe) = (zoo::squeezenet::squeezenet1_1()?, zoo::squeezenet::recipe());
                Self::new(Self::EMBEDDED, graph, weights, Classes::imagenet(), recipe)
            })
            .clone()
    }

    /// A network by its name, with the weights inside the binary.
    ///
    /// # Errors
    /// There is no such network, or its weights are not in the binary.
    pub fn named(name: &str) -> Result<Self> {
        network(name)?;
        if name == Self::EMBEDDED { Self::embedded() } else { Err(not_embedded(name)) }
    }

    /// A network by its name, with the weights in a file: safetensors, or what `torch.save` wrote of a state dict.
    /// The names are torchvision's, and so is the input, if the options say nothing else. The last layer may have any
    /// number of answers.
    ///
    /// # Errors
    /// There is no such network, the file cannot be read, or it does not fit: every fault is named. Or the options do not
    /// fit the network.
    pub fn from_file(name: &str, path: &Path, options: &ModelOptions) -> Result<Self> {
        let fit = network(name)?.model(Weights::from_file(path)?.with_torchvision_names(name)?, options);
        fit.map_err(|error| error.context(format!("`{}`", path.display())))
    }

    /// A network by its name that has learned nothing; see [`Weights::random`]. Its input is torchvision's, if the options
    /// say nothing else; it has as many answers as there are class names, or 1,000.
    ///
    /// # Errors
    /// There is no such network, or the options do not fit it.
    pub fn untrained(name: &str, seed: u64, options: &ModelOptions) -> Result<Self> {
        let network = network(name)?;
        let answers = options.classes.as_ref().map_or(zoo::CLASSES, Classes::len);
        let channels = options.channels.unwrap_or(3);
        if answers == 0 {
            return Err(Error::new(Kind::Argument, "there are no class names").at_argument("classes"));
        }
        if !(1..=MOST_CHANNELS).contains(&channels) {
            let message = format!("`channels` must be 1 to {MOST_CHANNELS}, not {channels}");
            return Err(Error::new(Kind::Argument, message).at_argument("channels"));
        }
        network.model(Weights::random(&network.graph_for(answers, channels)?, seed)?, options)
    }

    /// A network by its name, with weights from the hub; see [`Weights::from_hub`].
    ///
    /// # Errors
    /// There is no such network, or its weights cannot be fetched.
    pub fn from_hub(name: &str, step: Step<'_>) -> Result<Self> {
        let network = network(name)?;
        network.model(Weights::from_hub(name, step)?, &ModelOptions::default())
    }

    /// Its name, as `model("…")` takes it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its name with the start of the hash of its weights: `squeezenet1_1@1a2b3c4d`.
    pub fn fingerprint(&self) -> String {
        format!("{}@{}", self.name(), self.weights().hash().get(..8).unwrap_or_default())
    }

    /// Whether it is the same network with the same weights.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.fingerprint() == other.fingerprint()
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// Its parameters.
    pub fn weights(&self) -> &Weights {
        &self.0.weights
    }

    /// How its output is read.
    pub fn answer(&self) -> &Answer {
        &self.0.answer
    }

    /// Its parameters, for a network that shares them.
    pub(super) fn shared_weights(&self) -> Arc<Weights> {
        self.0.weights.clone()
    }

    /// Bytes of the weights that are prepared for running it, shared with its edited networks.
    pub fn prepared_bytes(&self) -> usize {
        self.0.planned.prepared_bytes()
    }

    /// The names of what it can answer; of one logit or probability, both classes.
    pub fn classes(&self) -> &Classes {
        self.answer().classes()
    }

    /// How images become its input.
    pub fn recipe(&self) -> &InputRecipe {
        &self.0.recipe
    }

    /// A layer by any of its names.
    pub fn layer(&self, name: &str) -> Result<Layer> {
        Ok(Layer::new(self.clone(), self.graph().find(name)?))
    }

    /// The layer whose value is the network's answer.
    pub fn output(&self) -> Layer {
        Layer::new(self.clone(), self.graph().output())
    }

    /// The table of all layers in order of execution.
    pub fn layers(&self) -> Vec<LayerRow> {
        let row = |id: NodeId| {
            let node = self.graph().node(id);
            LayerRow {
                name: node.name.clone(),
                ordinal: node.ordinal.clone(),
                aliases: node.aliases.clone(),
                kind: node.op.to_string(),
                shape: self.nominal_shape(id).to_vec(),
                parameters: node.op.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum(),
                receptive_field: self.receptive_field(id),
            }
        };
        self.graph().ids().map(row).collect()
    }

    /// Shape of a node's value for one image of the nominal size, without the batch.
    pub(super) fn nominal_shape(&self, id: NodeId) -> &[usize] {
        &self.0.shapes[id.index()]
    }

    /// What one unit of a node sees, for an image of the nominal size.
    pub(super) fn receptive_field(&self, id: NodeId) -> ReceptiveField {
        self.0.fields[id.index()]
    }

    /// The smallest height and width for which `taps` can be computed.
    pub fn minimum_size(&self, taps: &[NodeId]) -> Result<(usize, usize)> {
        self.graph().minimum_size(taps, [self.recipe().height, self.recipe().width])
    }

    /// An error that names the smallest possible size if an image of `height` × `width` is too small for `taps`.
    pub fn check_size(&self, taps: &[NodeId], height: usize, width: usize) -> Result<()> {
        self.graph().check_size(taps, [height, width], [self.recipe().height, self.recipe().width])
    }

    /// The values of `taps`, in that order, for `x` `[N, channels, H, W]` in the network's input space.
    ///
    /// If `x` or weights are on candle's tape, so are the results, and their gradients follow `rules`. An input that is
    /// too small, of the wrong shape or not finite is refused, and so is a rule that would act on nothing.
    pub fn run(&self, x: &Tensor, taps: &[NodeId], rules: &Rules, interrupt: &Interrupt) -> Result<Vec<Tensor>> {
        self.run_with(std::slice::from_ref(x), &Run::new(taps, rules, interrupt))
    }

    /// The values of `taps`, off the tape, and the backward pass from them to `x`; otherwise as [`run`](Self::run). For
    /// loops that look at an image many times, where candle's tape would take much of the time.
    pub fn pullback(
        &self,
        x: &Tensor,
        taps: &[NodeId],
        rules: &Rules,
        interrupt: &Interrupt,
    ) -> Result<(Vec<Tensor>, Pullback)> {
        self.pullback_with(std::slice::from_ref(x), &Run::new(taps, rules, interrupt))
    }

    /// As [`run`](Self::run), with everything a [`Run`] can ask for: `x` holds the values of the nodes it starts from,
    /// images `[N, channels, H, W]` for the input, activations of any batch and size for others.
    ///
    /// # Errors
    /// A value has other channels than its layer, and all that [`Executor::run`] refuses.
    pub fn run_with(&self, x: &[Tensor], run: &Run<'_>) -> Result<Vec<Tensor>> {
        self.executor(x, run)?.run(&floats(x)?, run)
    }

    /// As [`pullback`](Self::pullback), with everything a [`Run`] can ask for: gradients at other layers than the input,
    /// and runs that start elsewhere.
    ///
    /// # Errors
    /// Those of [`run_with`](Self::run_with), and all that [`Executor::pullback`] refuses.
    pub fn pullback_with(&self, x: &[Tensor], run: &Run<'_>) -> Result<(Vec<Tensor>, Pullback)> {
        self.executor(x, run)?.pullback(&floats(x)?, run)
    }

    /// What computes a run, if that is possible.
    fn executor(&self, x: &[Tensor], run: &Run<'_>) -> Result<&dyn Executor> {
        Scope::new(self.graph(), run)?;
        for (id, x) in run.from.iter().zip(x) {
            if *id == NodeId::INPUT { self.check_input(x, run.taps)? } else { self.check_start(*id, x)? }
        }
        run.rules.check(self.graph(), run)?;
        let on_cpu = x.iter().all(|x| x.device().is_cpu());
        Ok(if on_cpu { &self.0.planned } else { &self.0.reference })
    }

    /// The network's output, `[N, outputs]`, for `x` `[N, channels, H, W]` in its input space: logits, where the file ends
    /// in a softmax or a sigmoid the values before it. [`answer`](Self::answer) says what they mean.
    pub fn forward(&self, x: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        self.output().activations(x, interrupt)
    }

    fn check_input(&self, x: &Tensor, taps: &[NodeId]) -> Result<()> {
        let channels = self.graph().input_channels();
        match x.dims() {
            [n, c, height, width] if *n > 0 && *c == channels => self.check_size(taps, *height, *width)?,
            shape => {
                let message = format!("the network takes [N, {channels}, height, width], not {shape:?}");
                return Err(Error::new(Kind::Tensor, message));
            }
        }
        check_finite(x, "the network's input")
    }

    /// Refuses a value that a layer of this network cannot have for any image.
    fn check_start(&self, id: NodeId, x: &Tensor) -> Result<()> {
        let (name, nominal) = (&self.graph().node(id).name, self.nominal_shape(id));
        let fits = match (nominal, x.dims()) {
            ([features], [n, found]) => *n > 0 && found == features,
            ([channels, ..], [n, found, height, width]) => *n > 0 && found == channels && height * width > 0,
            _ => false,
        };
        if !fits {
            let shape = match nominal {
                [features] => format!("[N, {features}]"),
                [channels, ..] => format!("[N, {channels}, height, width]"),
                [] => "nothing".to_owned(),
            };
            let message = format!("the value of layer `{name}` is {shape}, not {:?}", x.dims());
            return Err(Error::new(Kind::Tensor, message));
        }
        check_finite(x, &format!("the value of layer `{name}`"))
    }
}

/// The values as the executors take them.
fn floats(x: &[Tensor]) -> Result<Vec<Tensor>> {
    Ok(x.iter().map(|x| x.to_dtype(DType::F32)).collect::<candle_core::Result<_>>()?)
}

fn network(name: &str) -> Result<&'static zoo::Entry> {
    zoo::find(name).ok_or_else(|| {
        let hint = did_you_mean(name, zoo::NAMES);
        let hint = hint.unwrap_or_else(|| format!("the models are {}", zoo::NAMES.join(", ")));
        Error::new(Kind::Name, format!("no model is called `{name}`")).with_hint(hint).at_argument("name")
    })
}

fn not_embedded(name: &str) -> Error {
    let hint = format!(
        "give weights=\"{name}.safetensors\" (a file, or a .pth), weights=\"hub\" (fetches them) or weights=\"random\""
    );
    Error::new(Kind::Argument, format!("the weights of {name} are not in the program"))
        .with_hint(hint)
        .at_argument("weights")
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (recipe, classes) = (self.recipe(), self.classes().len());
        let (layers, count) = (self.graph().nodes().len(), self.weights().count());
        let grey = if recipe.channels == Channels::Grey { " grey" } else { "" };
        let answers = match (self.answer().kind(), classes) {
            (AnswerKind::Regression, 1) => "1 value".to_owned(),
            (AnswerKind::Regression, count) => format!("{count} values"),
            (_, count) => format!("{count} classes"),
        };
        let (width, height) = (recipe.width, recipe.height);
        let name = self.name();
        writeln!(f, "model {name}: {layers} layers, {count} parameters, {width}×{height}{grey} pixels to {answers}")?;
        writeln!(f, "input: {recipe}")?;
        write!(f, "output: {}", self.answer())
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.name())
    }
}

#[cfg(test)]
mod tests;
