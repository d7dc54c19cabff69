//! Running a method again on what was changed a little, always for the same target.

use candle_core::Tensor;

use super::order::map_of;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Input, Model};
use crate::vis::Explain;
use crate::vis::attribution::{Attribution, Method};

/// A method, and its attribution for the unchanged image.
pub(super) struct Again<'a> {
    method: &'a Method,
    /// The attribution for the unchanged image.
    pub clean: Attribution,
}

impl<'a> Again<'a> {
    pub fn new(job: &Job, method: &'a Method, image: &Input, explain: &Explain) -> Result<Self> {
        let clean = method.attribution(job, image, explain)?;
        Ok(Self { method, clean })
    }

    /// Whose measure it is.
    pub fn name(&self) -> String {
        format!("{} for {}", self.method, self.clean.prediction.target())
    }

    /// The attribution for another input `[1, C, h, w]` of the same network.
    pub fn of_input(&self, job: &Job, input: Vec<f32>) -> Result<Attribution> {
        let prediction = &self.clean.prediction;
        let input = Tensor::from_vec(input, prediction.input.shape(), prediction.input.device())?;
        self.run(job, input, &prediction.model)
    }

    /// The attribution for the same input of another network.
    pub fn of_model(&self, job: &Job, model: &Model) -> Result<Attribution> {
        self.run(job, self.clean.prediction.input.clone(), model)
    }

    fn run(&self, job: &Job, input: Tensor, model: &Model) -> Result<Attribution> {
        let goal = self.clean.prediction.goal.clone();
        let explain = Explain { class: None, target: Some(goal), model: Some(model.clone()) };
        let other = self.method.attribution(job, &input.into(), &explain)?;
        if !other.prediction.model.is_same(model) {
            return Err(self.unasked("another network than it was given"));
        }
        let class = |attribution: &Attribution| attribution.prediction.class.as_ref().map(|class| class.class);
        if class(&other) != class(&self.clean) {
            return Err(self.unasked("another class than it was given"));
        }
        if other.values.dims() != self.clean.values.dims() {
            let (was, is) = (self.clean.values.dims(), other.values.dims());
            let message = format!("{} gave values of shape {was:?} and {is:?}", self.method);
            return Err(Error::new(Kind::Argument, message).at_argument("method"));
        }
        Ok(other)
    }

    fn unasked(&self, what: &str) -> Error {
        Error::new(Kind::Argument, format!("{} explains {what}", self.method))
            .with_hint(
                "give the method by its name, such as saliency: a function of the image alone chooses for itself",
            )
            .at_argument("method")
    }
}

/// The map of an attribution at the size of the network's input.
pub(super) fn map(attribution: &Attribution) -> Result<Vec<f64>> {
    Ok(map_of(attribution)?.into_iter().map(f64::from).collect())
}

/// The values of an attribution, as they are.
pub(super) fn values(attribution: &Attribution) -> Result<Vec<f64>> {
    Ok(attribution.values.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
}

/// The square root of a sum of squares.
pub(super) fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// From the least to the greatest number of an input.
pub(super) fn range(input: &[f32]) -> f32 {
    let low = input.iter().copied().fold(f32::INFINITY, f32::min);
    input.iter().copied().fold(f32::NEG_INFINITY, f32::max) - low
}
