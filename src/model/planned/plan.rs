//! What is computed where: a graph cut into steps over buffers.
//!
//! Operations that only epilogue what another has computed (batch-norm, addition, activation) become part of its
//! step, parts of a concatenation are written where they belong, and what changes nothing takes no step at all.

use super::fusion::{Cut, Fusion};
use super::layout::Layout;
use crate::error::Result;
use crate::model::{Graph, NodeId, Rule, Run, Scope};
use crate::tensor::{Activation, ReluRule};
use percept_kernels::Maps;

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

/// A gradient that is read on the backward pass.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) node: NodeId,
    pub(super) value: Value,
    /// It is complete, and not yet passed on, when the backward pass has come to this step and done it.
    pub(super) after: usize,
}

/// Steps in order, for images of one size.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) buffers: Vec<Buffer>,
    /// Where the given values are.
    pub(super) starts: Vec<Value>,
    /// Where each tap ends up.
    pub(super) taps: Vec<Value>,
    /// Where gradients are read: at the starts and at those nodes that the run names.
    pub(super) captures: Vec<Capture>,
    /// Which buffers the backward pass needs.
    pub(super) kept: Vec<bool>,
}

impl Plan {
    /// A plan for a run whose starts have these shapes, which can be walked back if `gradients`.
    pub(super) fn new(graph: &Graph, run: &Run<'_>, starts: &[Vec<usize>], gradients: bool) -> Result<Self> {
        let scope = Scope::new(graph, run)?;
        let shapes = scope.shapes(graph, run.from, starts)?;
        let mut readers: Vec<Vec<NodeId>> = vec![Vec::new(); shapes.len()];
        for id in scope.ids() {
            scope.inputs(graph, id).iter().for_each(|input| readers[input.index()].push(id));
        }
        let marked = |ids: &[NodeId]| {
            let mut marked = vec![false; shapes.len()];
            ids.iter().for_each(|id| marked[id.index()] = true);
            marked
        };
        let (tapped, captured) = (marked(run.taps), marked(if gradients { run.gradients_at } else { &[] }));
        let cut = Cut { graph, scope: &scope, run, readers, tapped, captured, gradients, shapes: &shapes };
        let drafts = Fusion { cut: &cut }.drafts();
        let mut layout = Layout::new(&cut, &drafts);
        let mut steps = Vec::with_capacity(drafts.len());
        let mut captures = Vec::new();
        for draft in &drafts {
            layout.place(draft, &mut steps)?;
            let id = draft.node;
            if cut.captured[id.index()] || scope.is_given(id) {
                captures.push(Capture { node: id, value: layout.value(id)?, after: steps.len() });
            }
        }
        let values = |ids: &[NodeId]| ids.iter().map(|id| layout.value(*id)).collect::<Result<Vec<Value>>>();
        let (starts, taps) = (values(run.from)?, values(run.taps)?);
        let mut kept = vec![false; layout.buffers.len()];
        if gradients {
            steps.iter_mut().for_each(|step| step.gating = step.rectifier(run));
            steps.iter().for_each(|step| step.keep(&mut kept));
            fuse_gates(&mut steps, &captures);
        }
        Ok(Self { steps, buffers: layout.buffers, starts, taps, captures, kept })
    }

    /// Floats that all buffers hold for one image.
    pub(super) fn len(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.len(1)).sum()
    }
}

/// Finds the steps that can apply the gates of the rectifiers before them on the backward pass.
fn fuse_gates(steps: &mut [Step], captures: &[Capture]) {
    for index in 0..steps.len() {
        let step = &steps[index];
        let able = matches!(
            step.work,
            Work::Convolution { .. } | Work::Linear(_) | Work::Scale(_) | Work::MaxPool(_) | Work::AveragePool(_)
        );
        let &[input] = &step.inputs[..] else { continue };
        let makers: Vec<usize> = (0..index).filter(|maker| steps[*maker].output.overlaps(input)).collect();
        let made: usize = makers.iter().map(|maker| steps[*maker].output.channels).sum();
        let Some(gating) = makers.first().and_then(|maker| steps[*maker].gating) else { continue };
        let whole =
            makers.iter().all(|maker| steps[*maker].output.within(input) && steps[*maker].gating == Some(gating));
        let alone = |maker: &usize| {
            let output = steps[*maker].output;
            let reads =
                |step: &Step| step.inputs.iter().chain(&step.residual).filter(|place| place.overlaps(output)).count();
            // nobody reads it before this step, and this step only once
            steps[*maker + 1..index].iter().all(|step| reads(step) == 0) && reads(&steps[index]) == 1
        };
        // redirection looks at whole gradients, and gradients that are read are not gated yet
        let plain = gating.rule != ReluRule::Redirected && !captures.iter().any(|c| c.value.0.overlaps(input));
        if able && plain && made == input.channels && whole && makers.iter().all(alone) {
            steps[index].gates = Some(gating);
            makers.iter().for_each(|maker| steps[*maker].gated = true);
        }
    }
}

impl Place {
    /// Whether both have a channel in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.buffer == other.buffer
            && self.offset < other.offset + other.channels
            && other.offset < self.offset + self.channels
    }

    fn within(self, other: Self) -> bool {
        self.buffer == other.buffer
            && other.offset <= self.offset
            && self.offset + self.channels <= other.offset + other.channels
    }
}

impl Step {
    /// The step without an activation, by itself.
    pub(super) fn new(work: Work, inputs: Vec<Place>, output: Place, node: NodeId) -> Self {
        let (residual, activation) = (None, None);
        Self { work, inputs, output, residual, activation, node, gating: None, gates: None, gated: false }
    }

    /// How gradients pass a rectifier that ends this step; none if it ends otherwise.
    fn rectifier(&self, run: &Run<'_>) -> Option<Gating> {
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
            Rule::Derivative | Rule::Custom(_) => ReluRule::Plain,
        };
        Some(Gating { below, rule })
    }

    /// Marks what the backward pass through this step needs.
    fn keep(&self, kept: &mut [bool]) {
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
