//! The run that says what a network predicts, kept for the gradient that is asked for next.

use std::cell::RefCell;

use candle_core::Tensor;

use crate::error::Result;
use crate::job::Job;
use crate::model::{Layer, Model, NodeId, Pullback, Rules, Run};

/// Which nodes depend on a layer, by index; it is one of them.
pub(super) fn dependents(model: &Model, layer: &Layer) -> Vec<bool> {
    let graph = model.graph();
    let mut depends = vec![false; graph.nodes().len()];
    for (place, id) in graph.ids().enumerate() {
        let reads = graph.node(id).inputs.iter().any(|input| depends.get(input.index()).copied().unwrap_or(false));
        depends[place] = id == layer.id() || reads;
    }
    depends
}

/// A run over the input with plain rules whose backward pass has not been asked for yet. It holds much memory: the first who
/// asks takes it, and copies of a prediction do not have it.
#[derive(Default)]
pub(super) struct Ahead(RefCell<Option<Whole>>);

/// A run over the input up to the network's output and some layers.
struct Whole {
    at: Vec<NodeId>,
    values: Vec<Tensor>,
    pullback: Pullback,
}

impl Ahead {
    /// The network's output for an input, and the run if the `gradient` at a layer, or at the input, will be wanted.
    pub(super) fn run(
        job: &Job,
        model: &Model,
        input: &Tensor,
        gradient: Option<Option<&Layer>>,
    ) -> Result<(Tensor, Self)> {
        let output = model.graph().output();
        let wanted = gradient.filter(|layer| layer.is_none_or(|layer| dependents(model, layer)[output.index()]));
        let Some(layer) = wanted else { return Ok((model.forward(input, job.interrupt())?, Self::default())) };
        let at: Vec<NodeId> = layer.iter().map(|layer| layer.id()).collect();
        let (taps, rules) = ([&[output], at.as_slice()].concat(), Rules::default());
        let run = Run { gradients_at: &at, exact: true, ..Run::new(&taps, &rules, job.interrupt()) };
        let (values, pullback) = model.pullback_with(std::slice::from_ref(input), &run)?;
        Ok((values[0].clone(), Self(RefCell::new(Some(Whole { at, values, pullback })))))
    }

    /// The values of the network's output and of the layers, and the backward pass, if there is one for the gradient `at` them.
    pub(super) fn take(&self, at: &[NodeId]) -> Option<(Vec<Tensor>, Pullback)> {
        let run = self.0.borrow_mut().take_if(|run| run.at == at)?;
        Some((run.values, run.pullback))
    }

    /// Gives it back.
    pub(super) fn forget(&self) {
        *self.0.borrow_mut() = None;
    }
}

impl Clone for Ahead {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ahead")
    }
}
