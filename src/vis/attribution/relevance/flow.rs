//! One run of relevance through a network, with its books: what arrives at each layer, and what it passes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use candle_core::Tensor;

use super::norm::norm;
use super::product::product;
use super::{Composite, Folded, Share, Weighted};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{BackwardRule, Graph, Input, Layer, Model, NodeId, Op, Operation, Rule, Rules, Run};
use crate::tensor::{sum_of, with_any_order, with_values};
use crate::vis::{Backward, Explain, Prediction};

/// Where the relevance of a score went.
#[derive(Debug)]
pub(in crate::vis::attribution) struct Flow {
    /// That of the input, `[1, C, h, w]`.
    pub(in crate::vis::attribution) relevance: Tensor,
    /// Its sum.
    pub(in crate::vis::attribution) arrived: f64,
    /// The layers that share out relevance, from the output to the image. All others pass on what arrives.
    pub(in crate::vis::attribution) steps: Vec<Step>,
}

/// What happened at one layer.
#[derive(Debug)]
pub(in crate::vis::attribution) struct Step {
    /// Its name.
    pub(in crate::vis::attribution) layer: String,
    /// What it computes.
    pub(in crate::vis::attribution) operation: String,
    /// By which rule it shares out.
    pub(in crate::vis::attribution) rule: String,
    /// The relevance of its value.
    pub(in crate::vis::attribution) arrives: f64,
    /// What its inputs get of it.
    pub(in crate::vis::attribution) passes_on: f64,
}

impl Step {
    /// What is passed on beyond what arrived.
    pub(in crate::vis::attribution) fn change(&self) -> f64 {
        self.passes_on - self.arrives
    }
}

/// What arrived at each layer, what it passed on, and by which rule.
pub(super) type Books = Arc<Mutex<BTreeMap<NodeId, ([f64; 2], String)>>>;

impl Flow {
    /// What is predicted for an image, and how the score that is explained is handed back to its input.
    ///
    /// # Errors
    /// The composite names a layer that does not exist, or does not fit the network; or the run was interrupted.
    pub(in crate::vis::attribution) fn of(
        job: &Job,
        image: &Input,
        composite: &Composite,
        explain: &Explain,
    ) -> Result<(Prediction, Self)> {
        let books = Books::default();
        let question = explain.question(job, image)?;
        let rules = rules(&question.model, question.reads(), composite, &books)?;
        let prediction = question.answer_before(job, Backward { layer: None, rules: rules.clone() })?;
        let relevance = prediction.relevance(job, &rules)?;
        let arrived = with_values(&relevance, |values| sum_of(values, f64::from))?;
        let books = books.lock().map_err(|_| Error::new(Kind::Internal, "the books of relevance are lost"))?;
        let graph = prediction.model.graph();
        let step = |(id, ([arrives, passes_on], rule)): (&NodeId, &([f64; 2], String))| Step {
            layer: graph.node(*id).name.clone(),
            operation: graph.node(*id).op.to_string(),
            rule: rule.clone(),
            arrives: *arrives,
            passes_on: *passes_on,
        };
        let steps = books.iter().rev().map(step).collect();
        drop(books);
        Ok((prediction, Self { relevance, arrived, steps }))
    }
}

/// Relevance that passes through one layer.
#[derive(Debug)]
pub(in crate::vis::attribution) struct Passage {
    rules: Rules,
    layer: Layer,
    /// That of the layer's value, of its shape.
    pub(in crate::vis::attribution) relevance: Tensor,
}

impl Passage {
    /// Hands the score of a prediction back as far as a layer.
    ///
    /// # Errors
    /// As [`Flow::of`]; and the score does not depend on the layer.
    pub(in crate::vis::attribution) fn of(
        job: &Job,
        prediction: &Prediction,
        composite: &Composite,
        layer: &Layer,
    ) -> Result<Self> {
        prediction.check_depends_on(layer)?;
        let rules = rules(&prediction.model, prediction.reads(), composite, &Books::default())?;
        let (model, at) = (&prediction.model, [layer.id()]);
        let run = Run { gradients_at: &at, ..Run::new(prediction.reads(), &rules, job.interrupt()) };
        let (outputs, pullback) = model.pullback_with(std::slice::from_ref(&prediction.input), &run)?;
        let gradients = prediction.goal.gradients(job, model, &outputs)?;
        let above = gradients.iter().zip(&outputs).map(|(gradient, output)| Ok((gradient * output)?));
        let relevance = pullback.gradients(&above.collect::<Result<Vec<_>>>()?, &at)?.swap_remove(0);
        Ok(Self { rules, layer: layer.clone(), relevance })
    }

    /// The relevance of some channels of the layer; that of all others is left out.
    ///
    /// # Errors
    /// The layer has other channels.
    pub(in crate::vis::attribution) fn only(&self, channels: &[usize]) -> Result<Tensor> {
        let mut shape = vec![1; self.relevance.rank()];
        let count = self.relevance.dim(1)?;
        shape[1] = count;
        let mut kept = vec![0f32; count];
        channels.iter().filter(|channel| **channel < count).for_each(|channel| kept[*channel] = 1.0);
        Ok(self.relevance.broadcast_mul(&Tensor::from_vec(kept, shape, self.relevance.device())?)?)
    }

    /// What arrives of that at an earlier layer, or else at the input.
    ///
    /// # Errors
    /// The layer does not depend on the earlier one, or the run was interrupted.
    pub(in crate::vis::attribution) fn down(
        &self,
        job: &Job,
        prediction: &Prediction,
        given: Tensor,
        to: Option<&Layer>,
    ) -> Result<Tensor> {
        let (taps, to) = ([self.layer.id()], [to.map_or(NodeId::INPUT, Layer::id)]);
        let run = Run { gradients_at: &to, ..Run::new(&taps, &self.rules, job.interrupt()) };
        let (_, pullback) = prediction.model.pullback_with(std::slice::from_ref(&prediction.input), &run)?;
        Ok(pullback.gradients(&[given], &to)?.swap_remove(0))
    }
}

/// The nodes that some nodes are made of, themselves among them, by index.
pub(in crate::vis::attribution) fn ancestors(graph: &Graph, of: &[NodeId]) -> Vec<bool> {
    let mut found = vec![false; graph.nodes().len()];
    of.iter().for_each(|id| found[id.index()] = true);
    for id in graph.ids().rev() {
        if found[id.index()] {
            graph.node(id).inputs.iter().for_each(|input| found[input.index()] = true);
        }
    }
    found
}

/// The batch-norms and scales directly behind a layer that nothing else reads, in order. `readers` are those of each node.
pub(in crate::vis::attribution) fn scales_behind(
    graph: &Graph,
    readers: &[Vec<NodeId>],
    tapped: &[NodeId],
    id: NodeId,
) -> Vec<NodeId> {
    let (mut scales, mut last) = (Vec::new(), id);
    while let [reader] = readers[last.index()][..] {
        if tapped.contains(&last) || !matches!(graph.node(reader).op, Op::BatchNorm(_) | Op::Scale(_)) {
            break;
        }
        scales.push(reader);
        last = reader;
    }
    scales
}

/// The nodes that read each node, of those that `among` says.
pub(in crate::vis::attribution) fn readers(graph: &Graph, among: &[bool]) -> Vec<Vec<NodeId>> {
    let mut readers = vec![Vec::new(); graph.nodes().len()];
    for id in graph.ids().filter(|id| among[id.index()]) {
        graph.node(id).inputs.iter().for_each(|input| readers[input.index()].push(id));
    }
    readers
}

/// The rule of every node that some layers of a network rest on.
pub(super) fn rules(model: &Model, taps: &[NodeId], composite: &Composite, books: &Books) -> Result<Rules> {
    let (graph, weights) = (model.graph(), model.weights());
    let own = composite.by_node(model)?;
    let needed = ancestors(graph, taps);
    let readers = readers(graph, &needed);
    let weighted = |id: &NodeId| needed[id.index()] && matches!(graph.node(*id).op, Op::Conv2d(_) | Op::Linear(_));
    let first = graph.ids().find(weighted).ok_or_else(|| {
        let message = format!("lrp: {} has no convolution and no linear layer before what is explained", model.name());
        Error::new(Kind::Argument, message).with_hint("relevance is shared out by weights; saliency needs none")
    })?;
    let output = model.output();
    let reading: BTreeMap<NodeId, bool> =
        graph.ids().filter(weighted).map(|id| (id, output.sibling(id).reads_image())).collect();
    let none_reads = reading.values().all(|reads| !reads);
    let mut rules = Rules::default();
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let op = &graph.node(id).op;
        let rule = match op {
            Op::Conv2d(_) | Op::Linear(_) => {
                let reads = reading.get(&id).copied().unwrap_or(false);
                let named = own.iter().find(|(own, _)| *own == id).map(|(_, rule)| *rule);
                let share = composite.rule(op, named, reads || none_reads && id == first).share(model, reads)?;
                let folded = Folded::of(graph, weights, id, &scales_behind(graph, &readers, taps, id))?;
                let folded = folded.ok_or_else(|| Error::new(Kind::Internal, "a layer without weights"))?;
                How::Weighted(share, folded)
            }
            Op::Add | Op::AvgPool2d { .. } | Op::AdaptiveAvgPool2d(_) | Op::ScaleChannels(_) | Op::Patch(_) => {
                How::Norm
            }
            Op::Mul => How::Product,
            Op::Softmax => {
                let message = format!("lrp: there is no rule for the softmax `{}`", graph.node(id).name);
                let error = Error::new(Kind::Argument, message);
                return Err(error.with_hint("explain a layer before it, or use integrated_gradients"));
            }
            _ => {
                if Rule::Pass.changes(op) {
                    rules.by_node.insert(id, Rule::Pass);
                }
                continue;
            }
        };
        rules.by_node.insert(id, Rule::Custom(Arc::new(OnNode { id, how: rule, books: books.clone() })));
    }
    Ok(rules)
}

/// How a node shares out relevance.
#[derive(Debug)]
enum How {
    Weighted(Box<dyn Share>, Folded),
    Norm,
    Product,
}

impl How {
    fn name(&self) -> String {
        match self {
            Self::Weighted(share, _) => share.name(),
            Self::Norm => "by contribution".to_owned(),
            Self::Product => "half to each".to_owned(),
        }
    }
}

/// The rule of one node, which keeps the books.
#[derive(Debug)]
struct OnNode {
    id: NodeId,
    how: How,
    books: Books,
}

impl BackwardRule for OnNode {
    fn name(&self) -> String {
        format!("relevance ({})", self.how.name())
    }

    fn acts_on(&self, op: &Op) -> bool {
        match self.how {
            How::Weighted(..) => matches!(op, Op::Conv2d(_) | Op::Linear(_)),
            How::Norm => {
                matches!(
                    op,
                    Op::Add | Op::AvgPool2d { .. } | Op::AdaptiveAvgPool2d(_) | Op::ScaleChannels(_) | Op::Patch(_)
                )
            }
            How::Product => matches!(op, Op::Mul),
        }
    }

    fn takes_any_order(&self) -> bool {
        matches!(self.how, How::Weighted(..))
    }

    fn backward(&self, at: &Operation<'_>, above: &Tensor) -> Result<Vec<Tensor>> {
        let below = match &self.how {
            How::Weighted(share, folded) => vec![share.share(&Weighted::new(at, folded)?, above)?],
            How::Norm => norm(at, above)?,
            How::Product => product(at, above)?,
        };
        let sum = |x: &Tensor| with_any_order(x, |values| sum_of(values, f64::from));
        let arrives = sum(above)?;
        let passes_on = below.iter().try_fold(0.0, |all, part| Ok::<_, Error>(all + sum(part)?))?;
        if let Ok(mut books) = self.books.lock() {
            let ([arrived, passed_on], _) = books.entry(self.id).or_insert_with(|| ([0.0; 2], self.how.name()));
            *arrived += arrives;
            *passed_on += passes_on;
        }
        Ok(below)
    }
}
