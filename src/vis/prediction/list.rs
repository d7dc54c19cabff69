//! Images of a list that a method is called with: the network looks at several of them at once.

use std::collections::HashMap;
use std::rc::Rc;

use candle_core::Tensor;

use super::ahead::{Ahead, Backward, dependents};
use super::batches::MAX_KEPT;
use super::shown;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::{Job, List};
use crate::lang::FromValue;
use crate::model::{Input, Model, NodeId, Run};
use crate::vis::objective::{ClassScore, Goal};

/// An image of a list.
#[derive(Clone, Debug)]
pub(super) struct Item {
    list: Rc<List>,
    place: usize,
}

/// What was made of images of a list that come next.
struct Seen {
    asked: Asked,
    answers: HashMap<usize, Answered>,
}

/// What was asked about all of them.
struct Asked {
    model: Model,
    goal: Option<String>,
    /// The layers at which gradients were asked for, if any were; none for the input.
    at: Option<Vec<NodeId>>,
}

impl Asked {
    fn is(&self, other: &Self) -> bool {
        self.model.same(&other.model) && self.goal == other.goal && self.at == other.at
    }
}

struct Answered {
    view: Image,
    input: Tensor,
    /// The network's output and the values of the layers, for this image.
    values: Vec<Tensor>,
    gradient: Option<Tensor>,
}

impl Item {
    /// The item of the list that a job is at, if that is `image`.
    pub(super) fn of(job: &Job, image: &Input) -> Option<Self> {
        let (list, place) = job.item()?;
        let same = match (image, list.values.get(place).and_then(|value| Input::from_value(value).ok())?) {
            (Input::Image(image), Input::Image(item)) => image.same(&item),
            (Input::Tensor(image), Input::Tensor(item)) => image.inner().id() == item.inner().id(),
            _ => false,
        };
        same.then_some(Self { list, place })
    }

    /// The image as the network sees it, and as its input, if that was made already.
    pub(super) fn shown(&self, model: &Model) -> Option<(Image, Tensor)> {
        let seen = self.list.store.borrow();
        let seen = seen.as_ref()?.downcast_ref::<Seen>().filter(|seen| seen.asked.model.same(model))?;
        seen.answers.get(&self.place).map(|answer| (answer.view.clone(), answer.input.clone()))
    }

    /// The network's output for the image, whose input this is, and its backward pass if one is wanted; the images that come
    /// next are looked at too. Nothing if none of them can be looked at together with it.
    ///
    /// # Errors
    /// The run was interrupted.
    pub(super) fn look(
        &self,
        job: &Job,
        model: &Model,
        (view, input): (&Image, &Tensor),
        goal: Option<&Goal>,
        backward: Option<&Backward<'_>>,
    ) -> Result<Option<(Tensor, Ahead)>> {
        let output = model.graph().output();
        let ready = |backward: &Backward<'_>| {
            backward.rules.is_plain() && backward.layer.is_none_or(|layer| dependents(model, layer)[output.index()])
        };
        if backward.is_some_and(|backward| !ready(backward)) {
            return Ok(None);
        }
        let asked = Asked {
            model: model.clone(),
            goal: goal.map(|goal| goal.description(model)),
            at: backward.map(|backward| backward.layer.iter().map(|layer| layer.id()).collect()),
        };
        let found = {
            let mut seen = self.list.store.borrow_mut();
            let seen = seen.as_mut().and_then(|seen| seen.downcast_mut::<Seen>()).filter(|seen| seen.asked.is(&asked));
            seen.and_then(|seen| seen.answers.remove(&self.place))
        };
        let answer = match found {
            Some(answer) => answer,
            None => {
                let images = self.next_ones(model, view, input);
                if images.len() < 2 {
                    return Ok(None);
                }
                let mut seen = Seen { answers: self.answers(job, model, images, goal, &asked)?, asked };
                let own = seen.answers.remove(&self.place);
                *self.list.store.borrow_mut() = Some(Box::new(seen));
                own.ok_or_else(|| Error::new(Kind::Internal, "an image of a list was not looked at"))?
            }
        };
        let first = answer.values.first().cloned();
        let first = first.ok_or_else(|| Error::new(Kind::Internal, "a network without an output"))?;
        let ahead = match (answer.gradient, backward) {
            (Some(gradient), Some(backward)) => Ahead::done(backward, answer.values, gradient),
            _ => Ahead::default(),
        };
        Ok(Some((first, ahead)))
    }

    /// This image and those after it that are of one size for the network, so many as one batch takes.
    fn next_ones(&self, model: &Model, view: &Image, input: &Tensor) -> Vec<(Image, Tensor)> {
        let mut images = vec![(view.clone(), input.clone())];
        for value in self.list.values.iter().skip(self.place + 1).take(MAX_KEPT - 1) {
            // what is wrong with an image is said when its turn comes
            let Ok(image) = Input::from_value(value) else { break };
            match shown(model, &image) {
                Ok((view, next)) if next.dims() == input.dims() => images.push((view, next)),
                _ => break,
            }
        }
        images
    }

    fn answers(
        &self,
        job: &Job,
        model: &Model,
        images: Vec<(Image, Tensor)>,
        goal: Option<&Goal>,
        asked: &Asked,
    ) -> Result<HashMap<usize, Answered>> {
        let inputs = Tensor::cat(&images.iter().map(|(_, input)| input).collect::<Vec<_>>(), 0)?;
        let (values, gradients) = match &asked.at {
            None => (vec![model.forward(&inputs, job.interrupt())?], None),
            Some(at) => {
                let taps = [&[model.graph().output()], at.as_slice()].concat();
                let rules = crate::model::Rules::default();
                let run = Run { gradients_at: at, exact: true, ..Run::new(&taps, &rules, job.interrupt()) };
                let (values, pullback) = model.pullback_with(&[inputs], &run)?;
                let mut above = vec![score_gradients(job, model, &values[0], goal)?];
                for value in &values[1..] {
                    above.push(value.zeros_like()?);
                }
                let gradient = pullback.gradient(&above)?;
                (values, Some(gradient))
            }
        };
        let row = |tensor: &Tensor, index: usize| Ok::<_, Error>(tensor.narrow(0, index, 1)?.contiguous()?);
        let mut answers = HashMap::with_capacity(images.len());
        for (index, (view, input)) in images.into_iter().enumerate() {
            let values = values.iter().map(|value| row(value, index)).collect::<Result<_>>()?;
            let gradient = gradients.as_ref().map(|gradients| row(gradients, index)).transpose()?;
            answers.insert(self.place + index, Answered { view, input, values, gradient });
        }
        Ok(answers)
    }
}

/// The gradients of the scores that are explained, at the network's output for several images: of the goal, or of each image's
/// most probable class.
fn score_gradients(job: &Job, model: &Model, output: &Tensor, goal: Option<&Goal>) -> Result<Tensor> {
    let mut rows = Vec::with_capacity(output.dim(0)?);
    for index in 0..output.dim(0)? {
        let row = output.narrow(0, index, 1)?.contiguous()?;
        let best = match goal {
            Some(goal) => goal.clone(),
            None => {
                let scored = model.answer().read(&row)?;
                let best = model.answer().best(&scored);
                Goal::new(ClassScore::of(best.ok_or_else(|| Error::new(Kind::Internal, "the network has no answers"))?))
            }
        };
        rows.extend(best.gradients(job, model, &[row])?);
    }
    Ok(Tensor::cat(&rows, 0)?)
}
