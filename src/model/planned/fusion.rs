//! Which nodes of a run become part of which steps.

use super::step::{StepRule, Work};
use crate::model::{Graph, NodeId, Op, Rule, Run, Scope};
use crate::tensor::Activation;

/// What is known of a run before it is cut into steps.
pub(super) struct Cut<'a> {
    pub(super) graph: &'a Graph,
    pub(super) scope: &'a Scope,
    pub(super) run: &'a Run<'a>,
    /// The nodes of the run that read each node.
    pub(super) readers: Vec<Vec<NodeId>>,
    pub(super) tapped: Vec<bool>,
    /// Nodes whose gradients are read.
    pub(super) captured: Vec<bool>,
    pub(super) gradients: bool,
    /// Of each node's value for one image.
    pub(super) shapes: &'a [Vec<usize>],
}

impl Cut<'_> {
    /// Whether the value of a node, or its gradient, is asked for: it does not become part of a later step.
    fn ends(&self, id: NodeId) -> bool {
        self.tapped[id.index()] || self.captured[id.index()]
    }

    /// Whether a node's backward rule is code of its own, so that it must be a step of its own.
    fn is_custom(&self, id: NodeId) -> bool {
        let rule = self.run.rules.of(id);
        self.gradients && matches!(rule, Rule::Custom(_)) && rule.changes(&self.graph.node(id).op)
    }

    /// Whether gradients pass a node as they are.
    fn is_pass(&self, id: NodeId) -> bool {
        let rule = self.run.rules.of(id);
        self.gradients && matches!(rule, Rule::Pass) && rule.changes(&self.graph.node(id).op)
    }

    /// What stands in place of a node's derivative; none for code of its own on an operation that has no kernel, which
    /// records its own backward pass.
    fn rule(&self, id: NodeId) -> StepRule {
        match self.run.rules.of(id) {
            Rule::Custom(rule) if self.is_custom(id) => {
                let shape = |id: &NodeId| self.shapes[id.index()].clone();
                let inputs = self.graph.node(id).inputs.iter().map(shape).collect();
                StepRule::Custom { rule: rule.clone(), inputs, output: shape(&id) }
            }
            _ if self.is_pass(id) => StepRule::Pass,
            _ => StepRule::Derivative,
        }
    }

    /// Whether all of a value's gradient comes through one reader, so that both may share one place of gradients.
    fn only_feeds(&self, id: NodeId, reader: NodeId) -> bool {
        let aliases = matches!(self.graph.node(id).op, Op::Dropout | Op::Flatten | Op::Concat);
        self.readers[id.index()] == [reader] && !self.tapped[id.index()] && !aliases && !self.scope.is_given(id)
    }

    /// Whether a node takes no step because its value is its input's.
    pub(super) fn passes(&self, id: NodeId) -> bool {
        let dropout = self.graph.node(id).op == Op::Dropout;
        dropout && self.may_alias(id) && !self.is_custom(id) && !self.scope.is_given(id)
    }

    /// Whether what a node joins or passes on may share its place: not if its gradient is asked for, which would be mixed
    /// with what reaches its inputs by other ways.
    pub(super) fn may_alias(&self, id: NodeId) -> bool {
        let joined = self.graph.node(id).op == Op::Concat;
        !self.captured[id.index()] || joined && self.graph.node(id).inputs.iter().all(|part| self.only_feeds(*part, id))
    }
}

/// A step before its buffers are known.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) work: DraftWork,
    pub(super) inputs: Vec<NodeId>,
    pub(super) residual: Option<NodeId>,
    pub(super) activation: Option<Activation>,
    /// What stands in place of its derivative.
    pub(super) rule: StepRule,
    /// The node whose value it makes.
    pub(super) node: NodeId,
}

#[derive(Debug)]
pub(super) enum DraftWork {
    Step(Work),
    /// The value of another node.
    Same,
    Concat,
    /// A start of the run.
    Given,
}

/// Decides which nodes become part of which steps.
pub(super) struct Fusion<'a> {
    pub(super) cut: &'a Cut<'a>,
}

impl Fusion<'_> {
    pub(super) fn drafts(&self) -> Vec<Draft> {
        let mut absorbed = vec![false; self.cut.shapes.len()];
        let mut made = absorbed.clone();
        let mut drafts = Vec::new();
        for id in self.cut.scope.ids() {
            if absorbed[id.index()] {
                continue;
            }
            let mut draft = self.draft(id);
            self.absorb(&mut draft, &mut absorbed, &made);
            made[draft.node.index()] = true;
            drafts.push(draft);
        }
        drafts
    }

    /// A node by itself.
    fn draft(&self, id: NodeId) -> Draft {
        let node = self.cut.graph.node(id);
        let inputs = self.cut.scope.inputs(self.cut.graph, id).to_vec();
        let step = DraftWork::Step;
        let mut activation = None;
        let mut rule = self.cut.rule(id);
        // with a rule of its own the derivative is of no concern
        let ruled = !matches!(rule, StepRule::Derivative);
        let work = match &node.op {
            _ if self.cut.scope.is_given(id) => DraftWork::Given,
            Op::Concat | Op::Flatten | Op::Dropout if ruled => step(self.other(id)),
            Op::Conv2d(_) => step(Work::Convolution { node: id, scales: Vec::new() }),
            Op::Linear(_) => step(Work::Linear(id)),
            Op::BatchNorm(_) | Op::Scale(_) | Op::ScaleChannels(_) => step(Work::Scale(vec![id])),
            Op::Patch(patch) if patch.shape.len() == 1 => step(Work::Scale(vec![id])),
            // on the backward pass, those that are known by their value are gated like any epilogue
            Op::Activation(function) if !self.cut.gradients || ruled || function.remembers_by_value() => {
                activation = Some(*function);
                step(Work::Scale(Vec::new()))
            }
            Op::MaxPool2d(_) => step(Work::MaxPool(id)),
            Op::AvgPool2d { .. } | Op::AdaptiveAvgPool2d(_) => step(Work::AveragePool(id)),
            Op::Concat => DraftWork::Concat,
            Op::Add => step(Work::Sum),
            Op::Mul => step(Work::Product),
            Op::Dropout if self.cut.passes(id) => DraftWork::Same,
            // a copy, whose gradient is apart from its input's
            Op::Dropout => step(Work::Scale(Vec::new())),
            Op::Flatten => step(Work::Flatten),
            _ => step(self.other(id)),
        };
        if matches!(work, DraftWork::Given | DraftWork::Step(Work::Other { .. })) {
            rule = StepRule::Derivative;
        }
        Draft { work, inputs, residual: None, activation, rule, node: id }
    }

    fn other(&self, node: NodeId) -> Work {
        let inputs = self.cut.graph.node(node).inputs.iter();
        Work::Other { node, shapes: inputs.map(|input| self.cut.shapes[input.index()].clone()).collect() }
    }

    /// Takes in the nodes after it as long as nothing else reads what lies between.
    fn absorb(&self, draft: &mut Draft, absorbed: &mut [bool], made: &[bool]) {
        let passes = match draft.rule {
            StepRule::Derivative => false,
            StepRule::Pass => true,
            StepRule::Custom { .. } => return,
        };
        let DraftWork::Step(work) = &mut draft.work else { return };
        if matches!(work, Work::Flatten | Work::Other { .. } | Work::MaxPool(_) | Work::AveragePool(_) | Work::Product)
        {
            return;
        }
        while let [reader] = self.cut.readers[draft.node.index()][..] {
            if self.cut.ends(draft.node) || draft.activation.is_some() || self.cut.is_custom(reader) {
                return;
            }
            if self.cut.is_pass(reader) != passes {
                return;
            }
            let node = self.cut.graph.node(reader);
            match (&node.op, &mut *work) {
                (Op::BatchNorm(_) | Op::Scale(_), Work::Convolution { scales, .. } | Work::Scale(scales))
                    if draft.residual.is_none() =>
                {
                    scales.push(reader);
                }
                (Op::ScaleChannels(_), Work::Scale(scales)) if draft.residual.is_none() => scales.push(reader),
                (Op::Add, _) if draft.residual.is_none() => match node.inputs[..] {
                    [a, b] if a != b => {
                        let other = if a == draft.node { b } else { a };
                        // only what is there when this step runs can be added
                        if !made[other.index()] {
                            return;
                        }
                        draft.residual = Some(other);
                    }
                    _ => return,
                },
                (Op::Activation(function), _) if !self.cut.gradients || passes || function.remembers_by_value() => {
                    draft.activation = Some(*function);
                }
                (Op::Dropout, _) => {}
                _ => return,
            }
            absorbed[reader.index()] = true;
            draft.node = reader;
        }
    }
}
