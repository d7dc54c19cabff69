//! The steps of a plan, and the places in memory that they read and write.

use std::sync::Arc;

use percept_kernels::Maps;

use crate::model::{BackwardRule, NodeId, Rule, Run};
use crate::tensor::{Activation, ReluRule};

/// Some channels of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) buffer: usize,
    /// First channel.
    pub(super) offset: usize,
    pub(super) channels: usize,
}

/// Maps in memory: for each image `height · width` rows of `channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffer {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Buffer {
    pub(super) fn new(shape: &[usize]) -> Self {
        match *shape {
            [channels, height, width] => Self { channels, height, width },
            // a row of numbers, or something only the reference operations understand
            _ => Self { channels: shape.iter().product(), height: 1, width: 1 },
        }
    }

    /// Its maps for so many images.
    pub(super) fn maps(&self, batch: usize) -> Maps {
        Maps { batch, height: self.height, width: self.width }
    }

    /// Floats for so many images, with a row of zeros at the end.
    pub(super) fn len(&self, batch: usize) -> usize {
        (self.maps(batch).rows() + 1) * self.channels
    }
}

/// What a step computes before it is finished.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// A convolution with the scales that follow it folded into its weights.
    Convolution { node: NodeId, scales: Vec<NodeId> },
    /// A linear layer.
    Linear(NodeId),
    /// Scales and shifts of channels; without any, a copy.
    Scale(Vec<NodeId>),
    /// The sum of all inputs.
    Sum,
    /// The product of two inputs, of which one may have one row for each image.
    Product,
    /// A pooling.
    MaxPool(NodeId),
    /// An average pooling.
    AveragePool(NodeId),
    /// Maps to a row of numbers, channel by channel.
    Flatten,
    /// Anything else, by the reference operation, with the shapes of its inputs for one image.
    Other { node: NodeId, shapes: Vec<Vec<usize>> },
}

/// What a rectifier lets through on the backward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gating {
    /// It is open where its value is above 0 and below this.
    pub(super) below: f32,
    pub(super) rule: ReluRule,
}

/// What stands in place of a step's derivative.
#[derive(Clone, Debug, Default)]
pub(super) enum StepRule {
    /// Nothing.
    #[default]
    Derivative,
    /// The gradient passes as it is.
    Pass,
    /// Code of its own, with the shapes of the inputs and of the value for one image.
    Custom { rule: Arc<dyn BackwardRule>, inputs: Vec<Vec<usize>>, output: Vec<usize> },
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) work: Work,
    pub(super) inputs: Vec<Place>,
    pub(super) output: Place,
    /// Added to the result.
    pub(super) residual: Option<Place>,
    /// Applied last.
    pub(super) activation: Option<Activation>,
    /// The node whose value it is, for messages.
    pub(super) node: NodeId,
    /// Whether gradients pass it on the way to where they are read.
    pub(super) passed: bool,
    /// What stands in place of its derivative.
    pub(super) rule: StepRule,
    /// How gradients pass its activation, if that is a rectifier.
    pub(super) gating: Option<Gating>,
    /// On the backward pass, its first input's gradient is complete after it and can be gated at once: what the
    /// rectifiers do that made all of that input.
    pub(super) gates: Option<Gating>,
    /// Whether such a step gates the gradient of this one's value.
    pub(super) gated: bool,
}

/// A place with the shape of what it holds for one image.
pub(super) type Value = (Place, Vec<usize>);

impl Place {
    /// Whether both have a channel in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.buffer == other.buffer
            && self.offset < other.offset + other.channels
            && other.offset < self.offset + self.channels
    }

    pub(super) fn within(self, other: Self) -> bool {
        self.buffer == other.buffer
            && other.offset <= self.offset
            && self.offset + self.channels <= other.offset + other.channels
    }
}

impl Step {
    /// The step without an activation, by itself.
    pub(super) fn new(work: Work, inputs: Vec<Place>, output: Place, node: NodeId) -> Self {
        let (residual, activation, rule) = (None, None, StepRule::Derivative);
        let passed = false;
        Self { work, inputs, output, residual, activation, node, passed, rule, gating: None, gates: None, gated: false }
    }

    /// How gradients pass a rectifier that ends this step; none if it ends otherwise.
    pub(super) fn rectifier(&self, run: &Run<'_>) -> Option<Gating> {
        if !matches!(self.rule, StepRule::Derivative) {
            return None;
        }
        let below = match self.activation? {
            Activation::Relu => f32::INFINITY,
            Activation::Clip(0.0, high) => high,
            _ => return None,
        };
        // an activation ends its step, so the step's node is the activation's
        let rule = match run.rules.of(self.node) {
            Rule::Guided => ReluRule::Guided,
            Rule::Deconvnet => ReluRule::Deconvnet,
            Rule::Redirected => ReluRule::Redirected,
            Rule::Derivative | Rule::Pass | Rule::Custom(_) => ReluRule::Plain,
        };
        Some(Gating { below, rule })
    }

    /// Whether its backward pass, but for the gate of its own rectifier, is linear and the same for all images.
    pub(super) fn sums(&self) -> bool {
        let linear =
            matches!(self.work, Work::Convolution { .. } | Work::Linear(_) | Work::Scale(_) | Work::AveragePool(_));
        linear && matches!(self.rule, StepRule::Derivative) && self.residual.is_none() && self.gates.is_none()
    }

    /// Marks what the backward pass through this step needs.
    pub(super) fn keep(&self, kept: &mut [bool]) {
        match self.rule {
            StepRule::Derivative => {}
            StepRule::Pass => return,
            StepRule::Custom { .. } => {
                self.inputs.iter().chain([&self.output]).for_each(|place| kept[place.buffer] = true);
                return;
            }
        }
        if self.activation.is_some_and(Activation::remembers_by_value) {
            kept[self.output.buffer] = true;
        }
        match &self.work {
            Work::MaxPool(_) => {
                kept[self.inputs[0].buffer] = true;
                kept[self.output.buffer] = true;
            }
            Work::Product => self.inputs.iter().for_each(|input| kept[input.buffer] = true),
            _ => {}
        }
    }
}
