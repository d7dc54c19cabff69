//! Backward passes of what a prediction explains.

use std::ops::Range;

use candle_core::Tensor;

use super::Prediction;
use super::ahead::Rest;
use super::batches::{Gather, MAX_KEPT, Variants};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Layer, NodeId, Rules, Run};
use crate::tensor::with_values;

/// Where and how gradients are taken.
#[derive(Clone, Copy, Debug)]
pub struct Gradients<'a> {
    /// How they pass each node.
    pub rules: &'a Rules,
    /// The layer; without one, the network's input.
    pub layer: Option<&'a Layer>,
}

/// The backward pass of a batch of inputs.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The score of each input.
    pub scores: Vec<f32>,
    /// The activations of the layer `[N, channels, h, w]`, if the gradient is taken at one.
    pub activations: Option<Tensor>,
    /// The gradient of each score, `[N, C, h, w]`.
    pub gradient: Tensor,
}

impl Prediction {
    /// The gradient of the score at the network's input, `[1, C, h, w]`.
    ///
    /// # Errors
    /// A rule acts on nothing, or the run was interrupted.
    pub fn gradient(&self, job: &Job, rules: &Rules) -> Result<Tensor> {
        Ok(self.pass(job, &self.input, rules, None)?.gradient)
    }

    /// What arrives at the input `[1, C, h, w]` under the rules if the backward pass begins with gradient × value of what
    /// the score is made of, instead of the gradient: relevance, whose sum there is the score if that is linear in it.
    ///
    /// # Errors
    /// A rule acts on nothing, or the run was interrupted.
    pub fn relevance(&self, job: &Job, rules: &Rules) -> Result<Tensor> {
        let (outputs, pullback) = match self.ahead.take(&[], rules) {
            Some((outputs, Rest::Backward(pullback))) => (outputs, pullback),
            _ => self.model.pullback(&self.input, &self.taps, rules, job.interrupt())?,
        };
        let gradients = self.goal.gradients(job, &self.model, &outputs)?;
        let above = gradients.iter().zip(&outputs).map(|(gradient, output)| Ok((gradient * output)?));
        pullback.gradient(&above.collect::<Result<Vec<_>>>()?)
    }

    /// The values of some layers, and the gradients of the score at the input and at some layers, in that order.
    ///
    /// # Errors
    /// The score does not depend on one of these layers, or the run was interrupted.
    pub fn gradients(&self, job: &Job, values: &[NodeId], at: &[NodeId]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let (taps, at, rules) = ([&self.taps, values].concat(), [&[NodeId::INPUT], at].concat(), Rules::default());
        let run = Run { gradients_at: &at, ..Run::new(&taps, &rules, job.interrupt()) };
        let (mut outputs, pullback) = self.model.pullback_with(std::slice::from_ref(&self.input), &run)?;
        let values = outputs.split_off(self.taps.len());
        let mut above = self.goal.gradients(job, &self.model, &outputs)?;
        for value in &values {
            above.push(value.zeros_like()?);
        }
        Ok((values, pullback.gradients(&above, &at)?))
    }

    /// The activations of a layer and the gradient of the score there, both `[1, channels, h, w]`.
    ///
    /// # Errors
    /// The score does not depend on the layer, or the run was interrupted.
    pub fn gradient_at(&self, job: &Job, layer: &Layer) -> Result<(Tensor, Tensor)> {
        let pass = self.pass(job, &self.input, &Rules::default(), Some(layer))?;
        let activations = pass.activations.ok_or_else(|| Error::new(Kind::Internal, "a run without its layer"))?;
        Ok((activations, pass.gradient))
    }

    /// The backward pass of the score of each of `count` variants of the input, made as for [`scores`](Self::scores) and
    /// handed to `take` in batches and in order, until all are done or `gather` has enough.
    ///
    /// # Errors
    /// `make` or `take` failed, a rule acts on nothing, or the run was interrupted; what was taken before is in `gather`.
    #[expect(clippy::too_many_arguments, reason = "what is varied, how, and what becomes of it")]
    pub fn each_gradient<G: Gather>(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        at: &Gradients<'_>,
        gather: &mut G,
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
        mut take: impl FnMut(&mut G, Range<usize>, Pass) -> Result<()>,
    ) -> Result<()> {
        self.batches(
            job,
            label,
            &Variants { of: &self.input, count, at_once: MAX_KEPT },
            gather,
            make,
            |gather, chunk, variants| take(gather, chunk, self.pass(job, variants, at.rules, at.layer)?),
        )
    }

    /// The sum of the gradients of the scores of some variants of the input, made as for [`scores`](Self::scores), each times
    /// its weight: numbers of the input's shape.
    ///
    /// # Errors
    /// `make` failed, or the run was interrupted.
    pub fn sum_of_gradients(
        &self,
        job: &Job,
        label: &str,
        weights: &[f64],
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
    ) -> Result<Vec<f64>> {
        let (goal, model, rules) = (&self.goal, &self.model, Rules::default());
        let channels = goal.channels(model)?;
        let mut sums = vec![0f64; self.input.elem_count()];
        let variants = Variants { of: &self.input, count: weights.len(), at_once: MAX_KEPT };
        self.batches(job, label, &variants, &mut (), make, |(), chunk, variants| {
            let run = Run { exact: true, ..Run::new(&self.taps, &rules, job.interrupt()) };
            let run = Run { channels: channels.as_deref(), ..run };
            let (outputs, pullback) = model.pullback_with(std::slice::from_ref(variants), &run)?;
            let above = goal.gradients(job, model, &outputs)?;
            let weights: Vec<f32> = weights[chunk].iter().map(|weight| *weight as f32).collect();
            with_values(&pullback.weighted_sum(&above, &weights)?, |part| {
                sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += f64::from(*value));
            })
        })?;
        Ok(sums)
    }

    /// One backward pass of the scores of inputs `[N, C, h, w]`, at the input or at a layer.
    ///
    /// # Errors
    /// A rule acts on nothing, the score does not depend on the layer, or the run was interrupted.
    pub fn pass(&self, job: &Job, inputs: &Tensor, rules: &Rules, layer: Option<&Layer>) -> Result<Pass> {
        let (goal, model) = (&self.goal, &self.model);
        if let Some(layer) = layer {
            self.check_depends_on(layer)?;
        }
        let at: Vec<NodeId> = layer.iter().map(|layer| layer.id()).collect();
        let ahead = if inputs.id() == self.input.id() { self.ahead.take(&at, rules) } else { None };
        let (mut outputs, pullback) = match ahead {
            Some((outputs, Rest::Backward(pullback))) => (outputs, pullback),
            Some((mut outputs, Rest::Done(gradient))) => {
                let activations = layer.and_then(|_| outputs.pop());
                let scores = goal.values(job, model, &outputs)?.to_vec1()?;
                return Ok(Pass { scores, activations, gradient });
            }
            None => {
                let taps = [&self.taps, at.as_slice()].concat();
                let channels = goal.channels(model)?;
                let run = Run { gradients_at: &at, exact: true, ..Run::new(&taps, rules, job.interrupt()) };
                let run = Run { channels: channels.as_deref(), ..run };
                model.pullback_with(std::slice::from_ref(inputs), &run)?
            }
        };
        let activations = layer.and_then(|_| outputs.pop());
        let scores = goal.values(job, model, &outputs)?.to_vec1()?;
        let mut above = goal.gradients(job, model, &outputs)?;
        let gradient = match &activations {
            Some(activations) => {
                above.push(activations.zeros_like()?);
                pullback.gradients(&above, &at)?.swap_remove(0)
            }
            None => pullback.gradient(&above)?,
        };
        Ok(Pass { scores, activations, gradient })
    }
}
