//! A network as a function of pixels: what it says about images, and how that changes with them.

use candle_core::{Device, Tensor, Var};

use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::model::{Channels, Model, Pullback, Rules};

/// What a network says about one image.
#[derive(Clone, Debug)]
pub struct Said {
    /// The score of each class.
    pub scores: Vec<f32>,
    /// The natural logarithm of the probability of each class.
    pub log_probabilities: Vec<f32>,
}

impl Said {
    /// The score of a class.
    pub fn score(&self, class: usize) -> f32 {
        self.scores.get(class).copied().unwrap_or(f32::NEG_INFINITY)
    }

    /// The probability of a class, from 0 to 1.
    pub fn probability(&self, class: usize) -> f32 {
        self.log_probabilities.get(class).map_or(0.0, |log| log.exp())
    }

    /// The class that the image is taken for: the first of those with the highest score.
    pub fn best(&self) -> usize {
        self.best_where(|_| true)
    }

    /// The first of all other classes with the highest score.
    pub fn best_but(&self, class: usize) -> usize {
        self.best_where(|other| other != class)
    }

    /// All classes, the highest score first.
    pub fn ranked(&self) -> Vec<usize> {
        let mut ranked: Vec<usize> = (0..self.scores.len()).collect();
        ranked.sort_by(|a, b| self.score(*b).total_cmp(&self.score(*a)));
        ranked
    }

    fn best_where(&self, counts: impl Fn(usize) -> bool) -> usize {
        let candidates = self.scores.iter().enumerate().filter(|(class, _)| counts(*class));
        candidates.reduce(|best, other| if other.1 > best.1 { other } else { best }).map_or(0, |(class, _)| class)
    }
}

/// Of which numbers a gradient is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The scores.
    Scores,
    /// The logarithms of the probabilities.
    LogProbabilities,
}

/// A network that looks at images of one size, given as pixels from 0 to 1: all reds, all greens, all blues of the
/// first, then those of the next.
#[derive(Clone, Debug)]
pub struct Lens {
    /// The network.
    pub model: Model,
    /// Width of the images.
    pub width: usize,
    /// Their height.
    pub height: usize,
}

impl Lens {
    /// How many numbers an image has.
    pub fn length(&self) -> usize {
        3 * self.width * self.height
    }

    /// How many colours of an image may change by themselves: of a grey one all three are equal.
    pub fn colours(&self) -> usize {
        if self.model.recipe().channels == Channels::Grey { 1 } else { 3 }
    }

    /// A number for each pixel and each of its [`colours`](Self::colours) as one for each of red, green and blue.
    pub fn of_colours(&self, values: Vec<f32>) -> Vec<f32> {
        if self.colours() == 1 { values.repeat(3) } else { values }
    }

    /// What the network says about each of some images.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn says(&self, interrupt: &Interrupt, pixels: Vec<f32>) -> Result<Vec<Said>> {
        self.read(&self.model.forward(&self.input(pixels)?, interrupt)?)
    }

    /// The same with the backward pass.
    ///
    /// # Errors
    /// A rule acts on nothing, or the run was interrupted.
    pub fn slopes(&self, interrupt: &Interrupt, pixels: Vec<f32>, rules: &Rules) -> Result<Slopes> {
        let taps = [self.model.graph().output()];
        let (mut outputs, pullback) = self.model.pullback(&self.input(pixels)?, &taps, rules, interrupt)?;
        let output = outputs.pop().ok_or_else(|| Error::new(Kind::Internal, "a run returned nothing"))?;
        Ok(Slopes { said: self.read(&output)?, lens: self.clone(), output, pullback })
    }

    fn input(&self, pixels: Vec<f32>) -> Result<Tensor> {
        let count = pixels.len() / self.length().max(1);
        let images = Tensor::from_vec(pixels, (count, 3, self.height, self.width), &Device::Cpu)?;
        self.model.recipe().to_input(&images)
    }

    fn read(&self, output: &Tensor) -> Result<Vec<Said>> {
        let answer = self.model.answer();
        let scores: Vec<Vec<f32>> = answer.scores(output)?.to_vec2()?;
        let logarithms: Vec<Vec<f32>> = answer.log_probabilities(output)?.to_vec2()?;
        let both = scores.into_iter().zip(logarithms);
        Ok(both.map(|(scores, log_probabilities)| Said { scores, log_probabilities }).collect())
    }
}

/// What a network says about some images, and the backward pass from it.
pub struct Slopes {
    /// What it says about each.
    pub said: Vec<Said>,
    lens: Lens,
    output: Tensor,
    pullback: Pullback,
}

impl Slopes {
    /// The gradient at the pixels of Σ weight · number over all classes, with a row of weights for each image.
    ///
    /// # Errors
    /// The weights do not fit, or the run was interrupted.
    pub fn gradient(&self, of: Of, weights: &[Vec<f32>]) -> Result<Vec<f32>> {
        let (answer, recipe) = (self.lens.model.answer(), self.lens.model.recipe());
        let output = Var::from_tensor(&self.output)?;
        let numbers = match of {
            Of::Scores => answer.scores(&output)?,
            Of::LogProbabilities => answer.log_probabilities(&output)?,
        };
        let weights = Tensor::from_vec(weights.concat(), numbers.shape(), &Device::Cpu)?;
        let above = (numbers * weights)?.sum_all()?.backward()?.remove(&output);
        let above = above.ok_or_else(|| Error::new(Kind::Internal, "the numbers do not depend on the output"))?;
        let mut gradient = recipe.to_rgb_gradient(&self.pullback.gradient(&[above.detach()])?)?;
        if recipe.channels == Channels::Grey {
            // what is left of it where red, green and blue must stay equal
            let shape = gradient.shape().clone();
            gradient = gradient.mean_keepdim(1)?.broadcast_as(shape)?.contiguous()?;
        }
        Ok(gradient.flatten_all()?.to_vec1()?)
    }

    /// The gradient of the score of one class, for a run over one image.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn of_score(&self, class: usize) -> Result<Vec<f32>> {
        self.of_difference(Some(class), None)
    }

    /// The gradient of the score of one class minus that of another, for a run over one image.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn of_difference(&self, more: Option<usize>, less: Option<usize>) -> Result<Vec<f32>> {
        let mut weights = vec![0f32; self.said.first().map_or(0, |said| said.scores.len())];
        for (class, weight) in [(more, 1.0), (less, -1.0)] {
            if let Some(place) = class.and_then(|class| weights.get_mut(class)) {
                *place += weight;
            }
        }
        self.gradient(Of::Scores, &[weights])
    }
}
