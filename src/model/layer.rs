//! A handle on one node of a model.

use std::fmt;

use candle_core::Tensor;

use super::{Model, Node, NodeId, Op, ReceptiveField, Rules};
use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::lang::value_type;

/// One node of a model; cheap to clone, and keeps the model alive.
#[derive(Clone, Debug)]
pub struct Layer {
    model: Model,
    id: NodeId,
}

value_type!(Layer, "layer", "a layer", "One operation of a model.", made_by = |layer: &Layer| Some(layer.provenance()));

/// One row of the table that `layers()` shows.
#[derive(Clone, Debug)]
pub struct LayerRow {
    /// Canonical name.
    pub name: String,
    /// The same for every network: `conv1`, `relu1`, ….
    pub ordinal: String,
    /// The architecture's own names.
    pub aliases: Vec<String>,
    /// The operation with its sizes, in words.
    pub kind: String,
    /// Shape of the result for one image of the nominal size.
    pub shape: Vec<usize>,
    /// How many numbers its parameters hold.
    pub parameters: usize,
    /// What part of the input one unit sees.
    pub receptive_field: ReceptiveField,
}

impl Layer {
    pub(super) fn new(model: Model, id: NodeId) -> Self {
        Self { model, id }
    }

    /// The model it belongs to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Another layer of the same model.
    pub(crate) fn sibling(&self, id: NodeId) -> Self {
        Self { model: self.model.clone(), id }
    }

    /// How a script would write it.
    pub fn provenance(&self) -> String {
        if Model::embedded().is_ok_and(|embedded| embedded.same(&self.model)) {
            return format!("layer({:?})", self.name());
        }
        format!("layer({}, {:?})", self.model.fingerprint(), self.name())
    }

    /// Its place in the model's graph, to be used as a tap.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its node: names, operation and inputs.
    pub fn node(&self) -> &Node {
        self.model.graph().node(self.id)
    }

    /// Its canonical name.
    pub fn name(&self) -> &str {
        &self.node().name
    }

    /// Shape of its result for one image of the nominal size, without the batch.
    pub fn shape(&self) -> &[usize] {
        self.model.nominal_shape(self.id)
    }

    /// Its channels, or the length of a row of numbers.
    pub fn units(&self) -> usize {
        self.shape().first().copied().unwrap_or(0)
    }

    /// Whether it has units at several places: channels of more than one pixel.
    pub fn has_places(&self) -> bool {
        matches!(self.shape(), [_, height, width] if height * width > 1)
    }

    /// What part of the input one of its units sees.
    pub fn receptive_field(&self) -> ReceptiveField {
        self.model.receptive_field(self.id)
    }

    /// Whether it reads the image itself, at most scaled, shifted or padded, so that its channels are those of the input.
    pub fn reads_image(&self) -> bool {
        let graph = self.model.graph();
        let mut node = self.node();
        loop {
            let [input] = node.inputs.as_slice() else { return false };
            node = graph.node(*input);
            match node.op {
                Op::Input { .. } => return true,
                Op::Scale(_) | Op::BatchNorm(_) | Op::ZeroPad(_) => {}
                _ => return false,
            }
        }
    }

    /// Its weight, if it has one: `[out, in / groups, height, width]` for a convolution, `[out, in]` for a linear
    /// layer, `[channels]` for a batch normalisation.
    pub fn weight(&self) -> Option<&Tensor> {
        let name = match &self.node().op {
            Op::Conv2d(conv) => &conv.weight,
            Op::Linear(linear) => &linear.weight,
            Op::BatchNorm(norm) => &norm.weight,
            _ => return None,
        };
        self.model.weights().get(name).ok()
    }

    /// Its bias `[out]`, if it has one.
    pub fn bias(&self) -> Option<&Tensor> {
        let name = match &self.node().op {
            Op::Conv2d(conv) => conv.bias.as_ref()?,
            Op::Linear(linear) => linear.bias.as_ref()?,
            Op::BatchNorm(norm) => &norm.bias,
            _ => return None,
        };
        self.model.weights().get(name).ok()
    }

    /// Its values for `x` `[N, 3, H, W]` in the network's input space: `[N, units, …]`.
    pub fn activations(&self, x: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        let mut values = self.model.run(x, &[self.id], &Rules::default(), interrupt)?;
        values.pop().ok_or_else(|| Error::new(Kind::Internal, "a run returned nothing"))
    }

    /// The one name that says most: the architecture's own, or else its framework's, unless that is but a number.
    pub fn known_as(&self) -> &str {
        let node = self.node();
        let numbered = node.name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        node.aliases.first().unwrap_or(if numbered { &node.ordinal } else { &node.name })
    }

    /// The names a reader knows it by: `conv4, fire2/expand3x3`.
    pub fn label(&self) -> String {
        let node = self.node();
        let mut names = vec![node.ordinal.clone()];
        names.extend(node.aliases.iter().filter(|alias| **alias != node.ordinal).take(1).cloned());
        names.join(", ")
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "layer {} ({}) of {}: {} → {:?}",
            self.name(),
            self.label(),
            self.model().name(),
            self.node().op,
            self.shape()
        )
    }
}

impl Model {
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
}
