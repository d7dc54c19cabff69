//! What a network is asked, before it has looked.

use candle_core::{IndexOp, Tensor};

use super::ahead::{Ahead, Backward, dependents};
use super::list::Item;
use super::{Class, Prediction, shown};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::model::{Input, Layer, Model, NodeId};
use crate::vis::objective::{ClassScore, Goal, Measure};

/// All of a prediction that is known before the network runs: here methods check what they were given.
#[derive(Clone, Debug)]
pub struct Question {
    /// The network.
    pub model: Model,
    /// The image as the network will see it.
    pub view: Image,
    /// Width and height of the image as it was given.
    pub given: [usize; 2],
    /// It as network input `[1, C, h, w]`.
    pub input: Tensor,
    /// What is explained; the most probable class if it is not said.
    pub goal: Option<Goal>,
    /// The place of the image in a list that the method is called with.
    item: Option<Item>,
    /// The layers that it reads.
    reads: Vec<NodeId>,
}

impl Question {
    /// The question what is explained of a network's answer to an image: the goal given, or the score of the most probable
    /// class.
    ///
    /// # Errors
    /// There is no such class or layer, or the image cannot become the network's input.
    pub fn new(job: &Job, model: Model, image: &Input, goal: Option<Goal>) -> Result<Self> {
        let item = Item::of(job, image);
        let known = item.as_ref().and_then(|item| item.shown(&model));
        let (view, input) = known.map_or_else(|| shown(&model, image), Ok)?;
        let reads = match &goal {
            Some(goal) => goal.taps(job, &model, &input)?,
            None => vec![model.graph().output()],
        };
        let given = match image {
            Input::Image(image) => [image.width(), image.height()],
            Input::Tensor(_) => [view.width(), view.height()],
        };
        Ok(Self { model, view, given, input, goal, item, reads })
    }

    /// The layers whose values the score is made of.
    pub fn reads(&self) -> &[NodeId] {
        &self.reads
    }

    /// Width and height of the image as the network sees it.
    pub fn size(&self) -> [usize; 2] {
        [self.view.width(), self.view.height()]
    }

    /// What is explained, for a message.
    fn score_name(&self) -> String {
        self.goal.as_ref().map_or_else(|| "the score of a class".to_owned(), |goal| goal.description(&self.model))
    }

    /// A gradient at a layer needs a score that depends on it.
    ///
    /// # Errors
    /// It does not.
    pub fn check_depends_on(&self, layer: &Layer) -> Result<()> {
        check_depends_on(&self.model, &self.reads, layer, || self.score_name())
    }

    /// Runs the network.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn answer(self, job: &Job) -> Result<Prediction> {
        self.run(job, None)
    }

    /// The same where a backward pass will be wanted next: one run of the network is for both.
    ///
    /// # Errors
    /// A rule acts on nothing, or the run was interrupted.
    pub fn answer_before(self, job: &Job, backward: Backward<'_>) -> Result<Prediction> {
        self.run(job, Some(backward))
    }

    fn run(self, job: &Job, backward: Option<Backward<'_>>) -> Result<Prediction> {
        let (goal, class, ahead) = self.look(job, backward)?;
        let Self { model, view, given, input, reads, .. } = self;
        if let Some(class) = &class {
            job.note("class", format!("{:?}", class.name));
        }
        let mut prediction = Prediction { model, view, given, input, goal, taps: reads, ahead, class, score: 0.0 };
        prediction.score = match (prediction.goal.class().map(|class| class.measure), &prediction.class) {
            (Some(Measure::Score), Some(class)) => class.score,
            _ => prediction.score_of(job, &prediction.input)?,
        };
        if !prediction.score.is_finite() {
            let score = if prediction.score.is_nan() { "NaN" } else { "infinite" };
            let message = format!("{} is {score} for this image", prediction.goal.description(&prediction.model));
            return Err(Error::new(Kind::Argument, message).at_argument("target"));
        }
        Ok(prediction)
    }

    /// What is explained, the class if it is one, and the run for the backward pass.
    fn look(&self, job: &Job, backward: Option<Backward<'_>>) -> Result<(Goal, Option<Class>, Ahead)> {
        let Self { model, view, input, goal, item, .. } = self;
        if let Some(goal) = goal.as_ref().filter(|goal| goal.class().is_none()) {
            return Ok((goal.clone(), None, Ahead::default()));
        }
        let together = match item {
            Some(item) => item.look(job, model, (view, input), goal.as_ref(), backward.as_ref())?,
            None => None,
        };
        // with the value of a layer at hand, the scores of the other classes are computed when they are asked for
        let at_layer = together.is_none() && backward.as_ref().is_some_and(|backward| backward.layer.is_some());
        let alone = match goal {
            Some(goal) if at_layer => goal.channels(model)?,
            _ => None,
        };
        let (output, ahead) = match together {
            Some(found) => found,
            None => Ahead::run(job, model, input, backward, alone.as_deref())?,
        };
        if let (Some(goal), Some([class]), Some(layer)) = (goal, alone.as_deref(), ahead.kept()) {
            let score = goal.values(job, model, &[output])?.i(0)?.to_scalar()?;
            return Ok((goal.clone(), Some(Class::scored_alone(model, *class, score, layer)), ahead));
        }
        let scored = model.answer().read(&output)?;
        let goal = match goal {
            Some(goal) => goal.clone(),
            None => {
                let best = model.answer().best(&scored);
                let best = best.ok_or_else(|| Error::new(Kind::Internal, "the network has no answers"))?;
                Goal::new(ClassScore::of(best))
            }
        };
        let class = goal.class().map(|class| class.class.resolve(model)).transpose()?;
        let class = class.and_then(|class| scored.get(class)).map(Class::of);
        Ok((goal, class, ahead))
    }
}

/// A gradient at a layer needs a score that depends on it.
pub(super) fn check_depends_on(
    model: &Model,
    reads: &[NodeId],
    layer: &Layer,
    score: impl FnOnce() -> String,
) -> Result<()> {
    let depends = dependents(model, layer);
    if reads.iter().any(|tap| depends.get(tap.index()).copied().unwrap_or(false)) {
        return Ok(());
    }
    let message = format!("{} does not depend on layer {}", score(), layer.name());
    let error = Error::new(Kind::Argument, message).at_argument("layer");
    Err(error.with_hint("choose a layer before what is explained"))
}
