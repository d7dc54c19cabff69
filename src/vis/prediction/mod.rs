//! What a network predicts for an image, and the number of it that a method explains: every attribution starts here.

mod ahead;
mod batches;
mod class;
mod gradients;
mod list;
mod question;

use std::ops::Range;

use candle_core::{IndexOp, Tensor};

pub use self::ahead::Backward;
use self::ahead::{Ahead, dependents};
pub use self::batches::Gather;
use self::batches::{MAX_BATCH, Variants, each_batch};
pub use self::class::Class;
pub use self::gradients::{Gradients, Pass};
pub use self::question::Question;
use super::objective::Goal;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::model::{Input, Layer, Model, NodeId, Rules, Run};

/// The prediction of a network for one image, and which of its numbers is explained.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The network.
    pub model: Model,
    /// The image as the network sees it.
    pub view: Image,
    /// Width and height of the image as it was given.
    pub given: [usize; 2],
    /// It as network input `[1, C, h, w]`.
    pub input: Tensor,
    /// What is explained.
    pub goal: Goal,
    /// The layers that it reads.
    taps: Vec<NodeId>,
    /// The run that said what the network predicts, if its backward pass will be asked for.
    ahead: Ahead,
    /// The class that is explained, if it is one.
    pub class: Option<Class>,
    /// The number that is explained: of a class the logit, where there is one.
    pub score: f32,
}

impl Prediction {
    /// Runs the network on an image. What is explained is the goal given, or the score of the most probable class.
    ///
    /// # Errors
    /// There is no such class or layer, the image cannot become the network's input, or the run was interrupted.
    pub fn of(job: &Job, model: Model, image: &Input, goal: Option<Goal>) -> Result<Self> {
        Question::new(job, model, image, goal)?.answer(job)
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
        let description = self.goal.description(&self.model);
        if self.goal.class().is_some() { description } else { format!("target ({description})") }
    }

    /// Score and probability in words: "93.1 % (logit 12.30)".
    pub fn verdict(&self) -> String {
        let Some(class) = &self.class else { return format!("{:.4}", self.score) };
        match class.probability(&self.model, &self.input) {
            Ok(probability) => self.model.answer().describe(class.score, probability),
            Err(_) => format!("(logit {:.2})", class.score),
        }
    }

    /// The probability that the network gives the class that is explained, from 0 to 1, if it is a class.
    ///
    /// # Errors
    /// The network does not run.
    pub fn probability(&self) -> Result<Option<f32>> {
        self.class.as_ref().map(|class| class.probability(&self.model, &self.input)).transpose()
    }

    /// The score of one input `[1, C, h, w]`.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn score_of(&self, job: &Job, input: &Tensor) -> Result<f32> {
        Ok(self.outputs(job, input)?.i(0)?.to_scalar()?)
    }

    /// The layers whose values the score is made of.
    pub fn reads(&self) -> &[NodeId] {
        &self.taps
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

    /// A gradient at a layer needs a score that depends on it.
    pub(in crate::vis) fn check_depends_on(&self, layer: &Layer) -> Result<()> {
        question::check_depends_on(&self.model, &self.taps, layer, || self.goal.description(&self.model))
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
