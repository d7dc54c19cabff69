//! What a network predicts for an image, and the number of it that a method explains: every attribution starts here.

use std::ops::Range;

use candle_core::{IndexOp, Tensor};

use super::objective::{ClassScore, Goal, Measure};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::{Job, Progress};
use crate::model::{Input, Layer, Model, NodeId, Rules, Run, Scored, budget};

/// Variants of an input that are shown to the network at once, if the memory allows.
const MAX_BATCH: usize = 25;

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
        let (view, input) = shown(&model, image)?;
        // what is wrong with the goal is said before any work
        let taps = goal.as_ref().map(|goal| goal.taps(job, &model, &input)).transpose()?;
        let answer = model.answer();
        let is_class = goal.as_ref().is_none_or(|goal| goal.class().is_some());
        let scored = if is_class { answer.read(&model.forward(&input, job.interrupt())?)? } else { Vec::new() };
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
        let mut prediction = Self { model, view, input, goal, taps, class, score: 0.0 };
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
        make: impl FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let mut scores = Vec::with_capacity(count);
        each_batch(job, label, &self.input, count, &mut (), make, |(), _, variants| {
            scores.extend(self.outputs(job, variants)?.to_vec1::<f32>()?);
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
        make: impl FnMut(usize, &mut [f32]) -> Result<()>,
        mut take: impl FnMut(&mut G, Range<usize>, &[f32]) -> Result<()>,
    ) -> Result<()> {
        each_batch(job, label, &self.input, count, gather, make, |gather, chunk, variants| {
            take(gather, chunk, &self.outputs(job, variants)?.to_vec1::<f32>()?)
        })
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
        make: impl FnMut(usize, &mut [f32]) -> Result<()>,
        mut take: impl FnMut(&mut G, Range<usize>, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let Some(class) = &self.class else { return self.each_score(job, label, count, gather, make, take) };
        each_batch(job, label, &self.input, count, gather, make, |gather, chunk, variants| {
            let output = self.model.forward(variants, job.interrupt())?;
            let own = self.model.answer().probabilities(&output)?.narrow(1, class.class, 1)?.squeeze(1)?;
            take(gather, chunk, &own.to_vec1::<f32>()?)
        })
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
        make: impl FnMut(usize, &mut [f32]) -> Result<()>,
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
        each_batch(job, label, activations, count, &mut (), make, |(), chunk, variants| {
            let mut starts = vec![variants.clone()];
            for other in &others {
                starts.push(Tensor::cat(&vec![other; chunk.len()], 0)?);
            }
            let outputs = self.model.run_with(&starts, &run)?;
            scores.extend(self.goal.values(job, &self.model, &outputs)?.to_vec1::<f32>()?);
            Ok(())
        })?;
        Ok(scores)
    }

    /// The layers whose values the score needs besides those of one layer.
    fn beside(&self, layer: &Layer) -> Result<Vec<NodeId>> {
        self.check_depends_on(layer)?;
        let (graph, depends) = (self.model.graph(), self.dependents(layer));
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
        make: impl FnMut(usize, &mut [f32]) -> Result<()>,
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
        make: impl FnMut(usize, &mut [f32]) -> Result<()>,
        mut take: impl FnMut(Range<usize>, Pass) -> Result<()>,
    ) -> Result<()> {
        each_batch(job, label, &self.input, count, &mut (), make, |(), chunk, variants| {
            take(chunk, self.pass(job, variants, at.rules, at.layer)?)
        })
    }

    /// One backward pass of the scores of inputs `[N, C, h, w]`, at the input or at a layer.
    ///
    /// # Errors
    /// A rule acts on nothing, the score does not depend on the layer, or the run was interrupted.
    pub fn pass(&self, job: &Job, inputs: &Tensor, rules: &Rules, layer: Option<&Layer>) -> Result<Pass> {
        let (goal, model) = (&self.goal, &self.model);
        let Some(layer) = layer else {
            let run = Run { exact: true, ..Run::new(&self.taps, rules, job.interrupt()) };
            let (outputs, pullback) = model.pullback_with(std::slice::from_ref(inputs), &run)?;
            let scores = goal.values(job, model, &outputs)?.to_vec1()?;
            let gradient = pullback.gradient(&goal.gradients(job, model, &outputs)?)?;
            return Ok(Pass { scores, activations: None, gradient });
        };
        self.check_depends_on(layer)?;
        let taps: Vec<NodeId> = self.taps.iter().copied().chain([layer.id()]).collect();
        let at = [layer.id()];
        let run = Run { gradients_at: &at, exact: true, ..Run::new(&taps, rules, job.interrupt()) };
        let (mut outputs, pullback) = model.pullback_with(std::slice::from_ref(inputs), &run)?;
        let activations = outputs.pop().ok_or_else(|| Error::new(Kind::Internal, "a run without its layer"))?;
        let mut above = goal.gradients(job, model, &outputs)?;
        above.push(activations.zeros_like()?);
        let gradient = pullback.gradients(&above, &at)?.swap_remove(0);
        Ok(Pass { scores: goal.values(job, model, &outputs)?.to_vec1()?, activations: Some(activations), gradient })
    }

    /// A gradient at a layer needs a score that depends on it.
    pub(in crate::vis) fn check_depends_on(&self, layer: &Layer) -> Result<()> {
        let depends = self.dependents(layer);
        if self.taps.iter().any(|tap| depends.get(tap.index()).copied().unwrap_or(false)) {
            return Ok(());
        }
        let message = format!("{} does not depend on layer {}", self.score_name(), layer.name());
        let error = Error::new(Kind::Argument, message).at_argument("layer");
        Err(error.with_hint("choose a layer before what is explained"))
    }

    /// Which nodes depend on a layer, by index; it is one of them.
    fn dependents(&self, layer: &Layer) -> Vec<bool> {
        let graph = self.model.graph();
        let mut depends = vec![false; graph.nodes().len()];
        for (place, id) in graph.ids().enumerate() {
            let reads = graph.node(id).inputs.iter().any(|input| depends.get(input.index()).copied().unwrap_or(false));
            depends[place] = id == layer.id() || reads;
        }
        depends
    }

    /// The score of each input, `[N]`.
    fn outputs(&self, job: &Job, inputs: &Tensor) -> Result<Tensor> {
        let rules = Rules::default();
        let activations = self.model.run(inputs, &self.taps, &rules, job.interrupt())?;
        self.goal.values(job, &self.model, &activations)
    }
}

/// What becomes of results that arrive in batches.
pub trait Gather {
    /// Is there enough, so that no further batch is wanted?
    ///
    /// # Errors
    /// What there is cannot be judged.
    fn enough(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Counts steps as done, and shows what there is.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] once a stop was asked for.
    fn report(&self, progress: &Progress<'_>, steps: usize) -> Result<()> {
        progress.advance(steps)
    }
}

/// All results are wanted, and nothing is shown of them.
impl Gather for () {}

/// Makes the variants of an input, or of activations, in batches.
fn each_batch<G: Gather>(
    job: &Job,
    label: &str,
    input: &Tensor,
    count: usize,
    gather: &mut G,
    mut make: impl FnMut(usize, &mut [f32]) -> Result<()>,
    mut run: impl FnMut(&mut G, Range<usize>, &Tensor) -> Result<()>,
) -> Result<()> {
    let progress = job.progress(label, count);
    let one: Vec<f32> = input.flatten_all()?.to_vec1()?;
    let mut shape = input.dims().to_vec();
    // the network cuts its own buffers to the limit; a batch is there twice, as it is made and as a tensor
    let batch = (budget::memory() / 4 / (2 * 4 * one.len())).clamp(1, MAX_BATCH);
    for start in (0..count).step_by(batch) {
        let chunk = start..count.min(start + batch);
        let mut variants = Vec::with_capacity(chunk.len() * one.len());
        for index in chunk.clone() {
            let from = variants.len();
            variants.extend_from_slice(&one);
            make(index, &mut variants[from..])?;
        }
        let size = chunk.len();
        if let Some(images) = shape.first_mut() {
            *images = size;
        }
        let variants = Tensor::from_vec(variants, shape.as_slice(), input.device())?;
        run(gather, chunk, &variants)?;
        gather.report(&progress, size)?;
        if gather.enough()? {
            break;
        }
    }
    Ok(())
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
