//! What is computed where: a graph cut into steps over buffers.
//!
//! Operations that only epilogue what another has computed (batch-norm, addition, activation) become part of its
//! step, parts of a concatenation are written where they belong, and what changes nothing takes no step at all.

use super::fusion::{Cut, Fusion};
use super::layout::Layout;
use super::step::{Buffer, Step, StepRule, Value, Work};
use crate::error::Result;
use crate::model::{Graph, NodeId, Run, Scope};
use crate::tensor::ReluRule;

/// A gradient that is read on the backward pass.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    pub(super) node: NodeId,
    pub(super) value: Value,
    /// It is complete, and not yet passed on, when the backward pass has come to this step and done it.
    pub(super) after: usize,
}

/// Steps in order, for images of one size.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) buffers: Vec<Buffer>,
    /// Where the given values are.
    pub(super) starts: Vec<Value>,
    /// Where each tap ends up.
    pub(super) taps: Vec<Value>,
    /// Where gradients are read.
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
        let (tapped, captured) = (marked(run.taps), marked(if gradients { run.pulled_back_to() } else { &[] }));
        let mut passed = captured.clone();
        for id in scope.ids() {
            passed[id.index()] |= scope.inputs(graph, id).iter().any(|input| passed[input.index()]);
        }
        let cut = Cut { graph, scope: &scope, run, readers, tapped, captured, gradients, shapes: &shapes };
        let drafts = Fusion { cut: &cut }.drafts();
        let mut layout = Layout::new(&cut, &drafts);
        let mut steps = Vec::with_capacity(drafts.len());
        let mut captures = Vec::new();
        for draft in &drafts {
            layout.place(draft, &mut steps)?;
            let id = draft.node;
            if cut.captured[id.index()] {
                captures.push(Capture { node: id, value: layout.value(id)?, after: steps.len() });
            }
        }
        let values = |ids: &[NodeId]| ids.iter().map(|id| layout.value(*id)).collect::<Result<Vec<Value>>>();
        let (starts, taps) = (values(run.from)?, values(run.taps)?);
        let mut kept = vec![false; layout.buffers.len()];
        if gradients {
            for step in &mut steps {
                step.passed = passed[step.node.index()];
                step.gating = step.rectifier(run).filter(|_| step.passed);
            }
            steps.iter().filter(|step| step.passed).for_each(|step| step.keep(&mut kept));
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
        ) && matches!(step.rule, StepRule::Derivative);
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
