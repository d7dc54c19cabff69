//! What a network predicts for an image, and the number of it that a method explains: every attribution starts here.

mod ahead;
mod batches;

use std::ops::Range;

use candle_core::{IndexOp, Tensor};

use self::ahead::{Ahead, dependents};
pub use self::batches::Gather;
use self::batches::{MAX_BATCH, MAX_KEPT, Variants, each_batch};
use super::objective::{ClassScore, Goal, Measure};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::model::{Input, Layer, Model, NodeId, Rules, Run, Scored};

/// The prediction of a network for one image, and which of its numbers is explained.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The network.
    pub model: Model,
    /// The image as the network sees it.
    pub view: Image,
    /// It as network input `[1, C, h, w]`.
    pub input: Tensor,
    /// What is explained.
    pub goal: Goal,
    /// The layers that it reads.
    taps: Vec<NodeId>,
    /// The run that said what the network predicts, if its backward pass will be asked for.
    ahead: Ahead,
    /// The class that is explained, if it is one.
    pub class: Option<Scored>,
    /// The number that is explained: of a class the logit, where there is one.
    pub score: f32,
}

impl Prediction {
    /// Runs the network on an image. What is explained is the goal given, or the score of the most probable class.
    ///
    /// # Errors
    /// There is no such class or layer, the image cannot become the network's input, or the run was interrupted.
    pub fn of(job: &Job, model: Model, image: &Input, goal: Option<Goal>) -> Result<Self> {
        Self::ahead_of(job, model, image, goal, None)
    }

    /// The same where the gradient at the input, or at a layer, will be wanted next: one run of the network is for both.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn before_gradient(
        job: &Job,
        model: Model,
        image: &Input,
        goal: Option<Goal>,
        layer: Option<&Layer>,
    ) -> Result<Self> {
        Self::ahead_of(job, model, image, goal, Some(layer))
    }

    fn ahead_of(
        job: &Job,
        model: Model,
        image: &Input,
        goal: Option<Goal>,
        gradient: Option<Option<&Layer>>,
    ) -> Result<Self> {
        let (view, input) = shown(&model, image)?;
        // what is wrong with the goal is said before any work
        let taps = goal.as_ref().map(|goal| goal.taps(job, &model, &input)).transpose()?;
        let answer = model.answer();
        let is_class = goal.as_ref().is_none_or(|goal| goal.class().is_some());
        let (scored, ahead) = if is_class {
            let (output, ahead) = Ahead::run(job, &model, &input, gradient)?;
            (answer.read(&output)?, ahead)
        } else {
            Default::default()
        };
        let (goal, taps) = match (goal, taps) {
            (Some(goal), Some(taps)) => (goal, taps),
            _ => {
                let best =
                    answer.best(&scored).ok_or_else(|| Error::new(Kind::Internal, "the network has no answers"))?;
                let goal = Goal::new(ClassScore::of(best));
                let taps = goal.taps(job, &model, &input)?;
                (goal, taps)
            }
        };
        let class = goal.class().map(|class| class.class.resolve(&model)).transpose()?;
        let class = class.and_then(|class| scored.get(class)).cloned();
        if let Some(class) = &class {
            job.note("class", format!("{:?}", class.name));
        }
        let mut prediction = Self { model, view, input, goal, taps, ahead, class, score: 0.0 };
        prediction.score = match (prediction.goal.class().map(|class| class.measure), &prediction.class) {
            (Some(Measure::Score), Some(class)) => class.score,
            _ => prediction.score_of(job, &prediction.input)?,
        };
        Ok(prediction)
    }

    /// What is explained, for a title: `"koala"`, or `fire5, channel 12`.
    pub fn target(&self) -> String {
        match &self.class {
            Some(class) => format!("\"{}\"", class.name),
            None => self.goal.description(&self.model),
        }
    }

    /// What the score is, for the label of a colour bar: `"koala" logit`.
    pub fn score_name(&self) -> String {
        self.goal.description(&self.model)
    }

    /// Score and probability in words: "93.1 % (logit 12.30)".
    pub fn verdict(&self) -> String {
        match &self.class {
            Some(class) => self.model.answer().describe(class.score, class.probability),
            None => format!("{:.4}", self.score),
        }
    }

    /// The score of one input `[1, C, h, w]`.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn score_of(&self, job: &Job, input: &Tensor) -> Result<f32> {
        Ok(self.outputs(job, input)?.i(0)?.to_scalar()?)
    }

    /// The gradient of the score at the network's input, `[1, C, h, w]`.
    ///
    /// # Errors
    /// A rule acts on nothing, or the run was interrupted.
    pub fn gradient(&self, job: &Job, rules: &Rules) -> Result<Tensor> {
        Ok(self.pass(job, &self.input, rules, None)?.gradient)
    }

    /// The layers whose values the score is made of.
    pub fn reads(&self) -> &[NodeId] {
        &self.taps
    }

    /// What arrives at the input `[1, C, h, w]` under the rules if the backward pass begins with gradient × value of what
    /// the score is made of, instead of the gradient: relevance, whose sum there is the score if that is linear in it.
    ///
    /// # Errors
    /// A rule acts on nothing, or the run was interrupted.
    pub fn relevance(&self, job: &Job, rules: &Rules) -> Result<Tensor> {
        let (outputs, pullback) = self.model.pullback(&self.input, &self.taps, rules, job.interrupt())?;
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
        let run = Run { gradients_at: &at[1..], ..Run::new(&taps, &rules, job.interrupt()) };
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

    /// The scores of `count` variants of the input, in order: `make(i, x)` turns `x`, a copy of the input `[C, h, w]` in
    /// row-major order, into the variant `i`. They are made and run in batches that fit the memory limit.
    ///
    /// # Errors
    /// `make` failed, or the run was interrupted.
    pub fn scores(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
    ) -> Result<Vec<f32>> {
        let mut scores = Vec::with_capacity(count);
        self.each_score(job, label, count, &mut (), make, |(), _, batch| {
            scores.extend_from_slice(batch);
            Ok(())
        })?;
        Ok(scores)
    }

    /// The scores of variants as for [`scores`](Self::scores), handed to `take` in batches and in order, until all `count`
    /// are done or `gather` has enough.
    ///
    /// # Errors
    /// `make` or `take` failed, or the run was interrupted; what was taken before is in `gather`.
    pub fn each_score<G: Gather>(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        gather: &mut G,
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
        mut take: impl FnMut(&mut G, Range<usize>, &[f32]) -> Result<()>,
    ) -> Result<()> {
        self.batches(
            job,
            label,
            &Variants { of: &self.input, count, at_once: MAX_BATCH },
            gather,
            make,
            |gather, chunk, variants| take(gather, chunk, &self.outputs(job, variants)?.to_vec1::<f32>()?),
        )
    }

    /// The probability of the class for each of `count` variants made as for [`scores`](Self::scores); of a target that is no
    /// class, its number.
    ///
    /// # Errors
    /// As [`each_score`](Self::each_score).
    pub fn each_probability<G: Gather>(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        gather: &mut G,
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
        mut take: impl FnMut(&mut G, Range<usize>, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let Some(class) = &self.class else { return self.each_score(job, label, count, gather, make, take) };
        self.batches(
            job,
            label,
            &Variants { of: &self.input, count, at_once: MAX_BATCH },
            gather,
            make,
            |gather, chunk, variants| {
                let output = self.model.forward(variants, job.interrupt())?;
                let own = self.model.answer().probabilities(&output)?.narrow(1, class.class, 1)?.squeeze(1)?;
                take(gather, chunk, &own.to_vec1::<f32>()?)
            },
        )
    }

    /// The scores of `count` variants of a layer's activations `[1, channels, h, w]`, made as for [`scores`](Self::scores);
    /// only what stands behind the layer runs. What reaches the score past it, such as the other side of a residual sum, has
    /// the values that it has for the image.
    ///
    /// # Errors
    /// The score does not depend on the layer, `make` failed, or the run was interrupted.
    pub fn scores_from(
        &self,
        job: &Job,
        label: &str,
        layer: &Layer,
        activations: &Tensor,
        count: usize,
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
    ) -> Result<Vec<f32>> {
        let beside = self.beside(layer)?;
        let (from, rules) = ([&[layer.id()], beside.as_slice()].concat(), Rules::default());
        let others = if beside.is_empty() {
            Vec::new()
        } else {
            self.model.run(&self.input, &beside, &rules, job.interrupt())?
        };
        let run = Run { from: &from, ..Run::new(&self.taps, &rules, job.interrupt()) };
        let mut scores = Vec::with_capacity(count);
        self.batches(
            job,
            label,
            &Variants { of: activations, count, at_once: MAX_BATCH },
            &mut (),
            make,
            |(), chunk, variants| {
                let mut starts = vec![variants.clone()];
                for other in &others {
                    starts.push(Tensor::cat(&vec![other; chunk.len()], 0)?);
                }
                let outputs = self.model.run_with(&starts, &run)?;
                scores.extend(self.goal.values(job, &self.model, &outputs)?.to_vec1::<f32>()?);
                Ok(())
            },
        )?;
        Ok(scores)
    }

    /// The layers whose values the score needs besides those of one layer.
    fn beside(&self, layer: &Layer) -> Result<Vec<NodeId>> {
        self.check_depends_on(layer)?;
        let (graph, depends) = (self.model.graph(), dependents(&self.model, layer));
        let mut needed = vec![false; depends.len()];
        let mut beside: Vec<NodeId> = self.taps.iter().copied().filter(|tap| !depends[tap.index()]).collect();
        self.taps.iter().for_each(|tap| needed[tap.index()] = true);
        for id in graph.ids().rev().filter(|id| depends[id.index()] && *id != layer.id()) {
            if needed[id.index()] {
                for input in &graph.node(id).inputs {
                    needed[input.index()] = true;
                    if !depends[input.index()] {
                        beside.push(*input);
                    }
                }
            }
        }
        beside.sort_unstable();
        beside.dedup();
        Ok(beside)
    }

    /// The probability of the class for each of `count` variants made as for [`scores`](Self::scores); of a target that is no
    /// class, its number.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn probabilities(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
    ) -> Result<Vec<f32>> {
        let mut probabilities = Vec::with_capacity(count);
        self.each_probability(job, label, count, &mut (), make, |(), _, batch| {
            probabilities.extend_from_slice(batch);
            Ok(())
        })?;
        Ok(probabilities)
    }

    /// The backward pass of the score of each of `count` variants of the input, made as for [`scores`](Self::scores) and
    /// handed to `take` in batches, in order.
    ///
    /// # Errors
    /// `make` or `take` failed, a rule acts on nothing, or the run was interrupted.
    pub fn each_gradient(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        at: &Gradients<'_>,
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
        mut take: impl FnMut(Range<usize>, Pass) -> Result<()>,
    ) -> Result<()> {
        self.batches(
            job,
            label,
            &Variants { of: &self.input, count, at_once: MAX_KEPT },
            &mut (),
            make,
            |(), chunk, variants| take(chunk, self.pass(job, variants, at.rules, at.layer)?),
        )
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
        let mut run = None;
        if inputs.id() == self.input.id() && rules.is_plain() {
            run = self.ahead.take(&at);
        }
        let (mut outputs, pullback) = match run {
            Some(run) => run,
            None => {
                let taps = [&self.taps, at.as_slice()].concat();
                let run = Run { gradients_at: &at, exact: true, ..Run::new(&taps, rules, job.interrupt()) };
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

    /// A gradient at a layer needs a score that depends on it.
    pub(in crate::vis) fn check_depends_on(&self, layer: &Layer) -> Result<()> {
        let depends = dependents(&self.model, layer);
        if self.taps.iter().any(|tap| depends.get(tap.index()).copied().unwrap_or(false)) {
            return Ok(());
        }
        let message = format!("{} does not depend on layer {}", self.score_name(), layer.name());
        let error = Error::new(Kind::Argument, message).at_argument("layer");
        Err(error.with_hint("choose a layer before what is explained"))
    }

    /// Makes and runs variants in batches. No gradient of the image itself is next, so what was kept for it is given back.
    fn batches<G: Gather>(
        &self,
        job: &Job,
        label: &str,
        variants: &Variants<'_>,
        gather: &mut G,
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
        run: impl FnMut(&mut G, Range<usize>, &Tensor) -> Result<()>,
    ) -> Result<()> {
        self.ahead.forget();
        each_batch(job, label, variants, gather, make, run)
    }

    /// The score of each input, `[N]`.
    fn outputs(&self, job: &Job, inputs: &Tensor) -> Result<Tensor> {
        let rules = Rules::default();
        let activations = self.model.run(inputs, &self.taps, &rules, job.interrupt())?;
        self.goal.values(job, &self.model, &activations)
    }
}

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

/// An image as the network sees it, and as its input. Of a tensor that is no picture, each place is as bright as the mean
/// of its channels.
pub(super) fn shown(model: &Model, image: &Input) -> Result<(Image, Tensor)> {
    let tensor = match image {
        Input::Image(image) => {
            let view = model.view(image)?;
            let input = model.input(&view)?;
            return Ok((view, input));
        }
        Input::Tensor(tensor) => tensor.inner(),
    };
    let channels = model.recipe().channels.count();
    let input = match *tensor.dims() {
        [c, _, _] if c == channels => tensor.unsqueeze(0)?,
        [1, c, _, _] if c == channels => tensor.clone(),
        ref dims => {
            let message = format!("a tensor of shape {dims:?} is not one input of {}", model.name());
            let error = Error::new(Kind::Tensor, message).at_argument("image");
            return Err(error.with_hint(format!("it takes [{channels}, height, width]; several images are a list")));
        }
    };
    let input = input.detach();
    if model.recipe().check_picture().is_ok() {
        return Ok((model.image_of(&input)?, input));
    }
    let mean = input.mean(1)?;
    let (height, width) = (mean.dim(1)?, mean.dim(2)?);
    let values: Vec<f32> = mean.flatten_all()?.to_vec1()?;
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let span = (values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - low).max(f32::MIN_POSITIVE);
    let grey: Vec<f32> = values.iter().map(|value| (value - low) / span).collect();
    Ok((Image::from_planes(width, height, [grey.clone(), grey.clone(), grey].concat(), None)?, input))
}
