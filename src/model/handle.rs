//! The model itself.

use std::fmt;
use std::sync::{Arc, OnceLock};

use candle_core::{DType, Tensor};

use super::{
    Classes, Executor, Graph, InputRecipe, Layer, LayerRow, NodeId, Op, ReceptiveField, Reference, Rules, Run,
};
use super::{Weights, zoo};
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::lang::Interrupt;
use crate::tensor::{ReluRule, check_finite};

/// The weights inside the binary, made lazily.
const EMBEDDED: &[u8] = include_bytes!("../../assets/squeezenet1_1.safetensors");

/// An immutable network with everything needed to run and name it; cheap to clone.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    name: String,
    graph: Arc<Graph>,
    weights: Arc<Weights>,
    classes: Classes,
    recipe: InputRecipe,
    /// Shape of every node for one image of the nominal size.
    shapes: Vec<Vec<usize>>,
    fields: Vec<ReceptiveField>,
    executor: Box<dyn Executor>,
}

impl Model {
    /// Puts a network together and checks that the parts fit: the weights are the graph's, and the graph can
    /// take an image of the recipe's size.
    pub fn new(name: &str, graph: Graph, weights: Weights, classes: Classes, recipe: InputRecipe) -> Result<Self> {
        weights.check(&graph)?;
        let image = [graph.input_channels(), recipe.size, recipe.size];
        let shapes = graph.shapes(image, graph.output())?;
        let fields = graph.receptive_fields(image)?;
        let (graph, weights) = (Arc::new(graph), Arc::new(weights));
        let executor = Box::new(Reference::new(graph.clone(), weights.clone()));
        Ok(Self(Arc::new(Inner { name: name.to_owned(), graph, weights, classes, recipe, shapes, fields, executor })))
    }

    /// SqueezeNet 1.1 trained on ImageNet, from the binary itself; decoded at first use, then shared.
    pub fn embedded() -> Result<Self> {
        static MODEL: OnceLock<Result<Model>> = OnceLock::new();
        MODEL
            .get_or_init(|| {
                let weights = Weights::from_safetensors(EMBEDDED)?;
                let (graph, recipe) = (zoo::squeezenet::squeezenet1_1()?, zoo::squeezenet::recipe());
                Self::new("squeezenet1_1", graph, weights, Classes::imagenet(), recipe)
            })
            .clone()
    }

    /// A network by its name, with the weights inside the binary.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "squeezenet1_1" => Self::embedded(),
            _ => {
                let error = Error::new(Kind::Name, format!("no model is called `{name}`"));
                let hint = did_you_mean(name, zoo::NAMES.iter().copied());
                Err(error.with_hint(hint.unwrap_or_else(|| format!("the models are {}", zoo::NAMES.join(", ")))))
            }
        }
    }

    /// Its name, as `model("…")` takes it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// Its parameters.
    pub fn weights(&self) -> &Weights {
        &self.0.weights
    }

    /// The names of its answers.
    pub fn classes(&self) -> &Classes {
        &self.0.classes
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
        self.graph().minimum_size(taps, self.recipe().size)
    }

    /// An error that names the smallest possible size if an image of `height` × `width` is too small for `taps`.
    pub fn check_size(&self, taps: &[NodeId], height: usize, width: usize) -> Result<()> {
        self.graph().check_size(taps, height, width, self.recipe().size)
    }

    /// The values of `taps`, in that order, for `x` `[N, 3, H, W]` in the network's input space.
    ///
    /// If `x` is on candle's tape, so are the results, and their gradients follow `rules`. An input that is too
    /// small, of the wrong shape or not finite is refused, and so is a rule that would act on nothing.
    pub fn run(&self, x: &Tensor, taps: &[NodeId], rules: &Rules, interrupt: &Interrupt) -> Result<Vec<Tensor>> {
        self.check_input(x, taps)?;
        self.check_rules(taps, rules)?;
        self.0.executor.run(&x.to_dtype(DType::F32)?, &Run { taps, rules, interrupt })
    }

    /// The network's answers before softmax, `[N, classes]`, for `x` `[N, 3, H, W]` in its input space.
    pub fn forward(&self, x: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        self.output().activations(x, interrupt)
    }

    fn check_input(&self, x: &Tensor, taps: &[NodeId]) -> Result<()> {
        if let Some(stranger) = taps.iter().find(|tap| !self.graph().contains(**tap)) {
            return Err(Error::new(Kind::Internal, format!("node {} is not of this model", stranger.index())));
        }
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

    /// A rule that changes nothing is an error, not a silently plain gradient.
    fn check_rules(&self, taps: &[NodeId], rules: &Rules) -> Result<()> {
        let needed = self.graph().needed(taps);
        let mut running = self.graph().nodes().iter().zip(needed).filter(|(_, needed)| *needed);
        if rules.relu == ReluRule::Plain || running.any(|(node, _)| node.op == Op::Relu) {
            return Ok(());
        }
        let message = format!("the {:?} rule has no ReLU to act on before that layer", rules.relu);
        Err(Error::new(Kind::Argument, message).with_hint("choose a later layer"))
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.name())
    }
}
