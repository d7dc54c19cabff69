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

/// A run over the input whose backward pass has not been asked for yet. It holds much memory: the first who asks takes it, and
/// copies of a prediction do not have it.
#[derive(Default)]
pub(super) struct Ahead(RefCell<Option<Whole>>);

/// The backward pass that will be asked for.
#[derive(Clone, Debug)]
pub struct Backward<'a> {
    /// The gradient is taken at this layer; without one, at the input.
    pub layer: Option<&'a Layer>,
    /// By these rules.
    pub rules: Rules,
}

/// A run over the input up to the network's output and some layers.
struct Whole {
    at: Vec<NodeId>,
    rules: Rules,
    values: Vec<Tensor>,
    rest: Rest,
}

/// What is left to do for the gradient.
pub(super) enum Rest {
    /// The backward pass, from gradients of the output and of the layers.
    Backward(Pullback),
    /// Nothing: this is the gradient of the score.
    Done(Tensor),
}

impl Ahead {
    /// The network's output for an input, with zeros in place of all but some classes if only these are wanted; and the run, if
    /// a backward pass will be wanted.
    pub(super) fn run(
        job: &Job,
        model: &Model,
        input: &Tensor,
        backward: Option<Backward<'_>>,
        classes: Option<&[usize]>,
    ) -> Result<(Tensor, Self)> {
        let output = model.graph().output();
        let depends =
            |backward: &Backward<'_>| backward.layer.is_none_or(|layer| dependents(model, layer)[output.index()]);
        let Some(Backward { layer, rules }) = backward.filter(depends) else {
            return Ok((model.forward(input, job.interrupt())?, Self::default()));
        };
        let at: Vec<NodeId> = layer.iter().map(|layer| layer.id()).collect();
        let taps = [&[output], at.as_slice()].concat();
        let run = Run { gradients_at: &at, exact: true, channels: classes, ..Run::new(&taps, &rules, job.interrupt()) };
        let (values, pullback) = model.pullback_with(std::slice::from_ref(input), &run)?;
        Ok((values[0].clone(), Self(RefCell::new(Some(Whole { at, rules, values, rest: Rest::Backward(pullback) })))))
    }

    /// A backward pass that was done already, with the values of the output and of the layers, and the gradient of the score.
    pub(super) fn done(backward: &Backward<'_>, values: Vec<Tensor>, gradient: Tensor) -> Self {
        let (at, rules) = (backward.layer.iter().map(|layer| layer.id()).collect(), backward.rules.clone());
        Self(RefCell::new(Some(Whole { at, rules, values, rest: Rest::Done(gradient) })))
    }

    /// The values of the network's output and of the layers, and the backward pass, if there is one for the gradient `at` them
    /// by these rules.
    pub(super) fn take(&self, at: &[NodeId], rules: &Rules) -> Option<(Vec<Tensor>, Rest)> {
        let run = self.0.borrow_mut().take_if(|run| run.at == at && run.rules.same(rules))?;
        Some((run.values, run.rest))
    }

    /// The value of the layer that the run kept.
    pub(super) fn kept(&self) -> Option<(NodeId, Tensor)> {
        let run = self.0.borrow();
        let Whole { at, values, .. } = run.as_ref()?;
        Some((*at.first()?, values.get(1)?.clone()))
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
