//! The model itself.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::{
    Answer, AnswerKind, AnswerOf, Area, Channels, Classes, Executor, Graph, InputRecipe, NodeId, Patches, Planned,
    Pullback, ReceptiveField, Reference, RetainedRun, Rules, Run, Scope, Weights,
};
use crate::error::{Error, Kind, Result};
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

    /// Its name, as `model("…")` takes it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its name with the start of the hash of its weights: `squeezenet1_1@1a2b3c4d`. An edited network names its edits
    /// behind that: `squeezenet1_1@1a2b3c4d.without("features.3", [12])`.
    pub fn fingerprint(&self) -> String {
        let edits = self.graph().edit_calls();
        format!("{}@{}{edits}", self.name(), self.weights().hash().get(..8).unwrap_or_default())
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

    /// As [`pullback_with`](Self::pullback_with) for one image: the taps, all of which are maps, are read, and their gradients
    /// written, where they are computed. For what looks at many large maps, of which copies would take as long as layers.
    ///
    /// # Errors
    /// As [`pullback_with`](Self::pullback_with).
    pub fn retained(&self, x: &Tensor, run: &Run<'_>) -> Result<RetainedRun> {
        let x = floats(std::slice::from_ref(x))?;
        self.executor(&x, run)?.retained(&x, run)
    }

    /// Runs over many images that differ from `x`, `[1, channels, H, W]`, in one area each: of each layer only what can have
    /// changed is computed. Of `run`, which starts at the input, the taps, their [`channels`](Run::channels), the interrupt
    /// and [`exact`](Run::exact) count; an exact one gives the numbers of whole images bit for bit. None where whole images
    /// are as fast, as when the areas are large, or where the network does not run on the CPU.
    ///
    /// # Errors
    /// All that [`run`](Self::run) refuses, and an area that is no part of the image.
    pub fn patches<'a>(&self, x: &Tensor, run: &Run<'_>, areas: &'a [Area]) -> Result<Option<Patches<'a>>> {
        let x = [x.to_dtype(DType::F32)?];
        self.executor(&x, run)?;
        match &x {
            [x] if x.device().is_cpu() && x.dim(0)? == 1 && run.from == [NodeId::INPUT] => {
                self.0.planned.patches(x, run, areas)
            }
            _ => Ok(None),
        }
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
        write!(f, "output: {}", self.answer())?;
        self.edits().iter().try_for_each(|edit| write!(f, "\nedited: {edit}"))
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.name())
    }
}

#[cfg(test)]
mod tests;
