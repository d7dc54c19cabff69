//! The network that is fooled, and the image that it is shown.

use super::ball::eight_bits;
use super::lens::{Lens, Said, Slopes};
use super::loss::Loss;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};
use crate::job::{Interrupt, Job};
use crate::lang::Options;
use crate::model::{AnswerKind, ClassName, Model, Network, Rule, Rules};

/// What the network is to say.
#[derive(Clone, Debug, Options)]
pub struct Aim {
    /// The class that the network is to take the image for, by name or number. If not given, any other class than the
    /// one it takes the image for will do.
    #[default]
    pub target: Option<ClassName>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

impl Aim {
    /// The network and the number of the class: what is wrong with them is said before any work starts.
    ///
    /// # Errors
    /// There is no such class, the network has no classes, or its input is no picture.
    pub(super) fn check(&self, job: &Job) -> Result<Aimed> {
        let model = Network { model: self.model.clone() }.get(job)?;
        model.recipe().check_picture().map_err(|error| error.at_argument("model"))?;
        if model.answer().kind() == AnswerKind::Regression {
            let message = format!("{} is a regression: it has values and no classes to confuse", model.name());
            return Err(Error::new(Kind::Argument, message).at_argument("model"));
        }
        let target = self.target.as_ref().map(|class| class.find(&model)).transpose();
        let target = target.map_err(|error| error.at_argument("target"))?;
        Ok(Aimed { model, target })
    }
}

/// The network, and the class that it is to name.
#[derive(Clone, Debug)]
pub(super) struct Aimed {
    pub model: Model,
    /// Any other than the image's own if not given.
    pub target: Option<usize>,
}

/// A network and an image that it is to take for something else.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    pub lens: Lens,
    /// The image as the network sees it, rounded to 8 bits: what a file of it holds.
    pub original: Image,
    /// What the network says about that.
    pub said: Said,
    /// The class that it takes it for.
    pub own: usize,
    /// The class that it is to take it for; any other if not given.
    pub target: Option<usize>,
}

impl Victim {
    /// Shows the image to the network.
    ///
    /// # Errors
    /// The image cannot be brought to the network's size, or the run was interrupted.
    pub fn new(interrupt: &Interrupt, aimed: &Aimed, image: &Image) -> Result<Self> {
        let view = aimed.model.view(image)?;
        Self::seen_as(interrupt, aimed, &view.flatten(WHITE))
    }

    /// The same for an image as the network sees it.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn seen_as(interrupt: &Interrupt, aimed: &Aimed, view: &Image) -> Result<Self> {
        let original = Image::from_planes(view.width(), view.height(), eight_bits(view.planes()), None)?;
        let lens = Lens { model: aimed.model.clone(), width: original.width(), height: original.height() };
        let said = only(lens.says(interrupt, original.planes().to_vec())?)?;
        let own = said.best();
        Ok(Self { lens, original, said, own, target: aimed.target })
    }

    /// The same where there is something to do: the image is not taken for the target already.
    ///
    /// # Errors
    /// It is; and as for [`new`](Self::new).
    pub fn other_than_target(interrupt: &Interrupt, aimed: &Aimed, image: &Image) -> Result<Self> {
        let victim = Self::new(interrupt, aimed, image)?;
        if victim.target == Some(victim.own) {
            let name = victim.lens.model.classes().name(victim.own);
            let message = format!("the network takes this image for {name:?} already");
            return Err(Error::new(Kind::Argument, message).with_hint("choose another target").at_argument("target"));
        }
        Ok(victim)
    }

    /// The pixels of the original.
    pub fn pixels(&self) -> &[f32] {
        self.original.planes()
    }

    /// The class that stands against the image's own one: the target, or the highest of the others.
    pub fn rival(&self, said: &Said) -> usize {
        self.target.unwrap_or_else(|| said.best_but(self.own))
    }

    /// How far the network is fooled, in units of its scores: how much the target is above all others, or the highest
    /// of the others above the image's own class. Above 0 it is.
    pub fn advantage(&self, said: &Said) -> f32 {
        Loss::Margin.pull(said, self.own, self.target).value
    }

    /// What the network says about an image, the value of a loss and its gradient at the pixels.
    ///
    /// Where the gradient of the target's score is blocked by a rectifier that is off everywhere (as behind the last
    /// convolution of SqueezeNet), or that of the loss is nothing at all, it is the gradient of the score with the
    /// rectifiers open that block it: it switches on what would raise the score.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn slope(&self, interrupt: &Interrupt, pixels: &[f32], loss: Loss) -> Result<Slope> {
        let slopes = self.lens.slopes(interrupt, pixels.to_vec(), &Rules::default())?;
        let said = only(slopes.said.clone())?;
        let pull = loss.pull(&said, self.own, self.target);
        if let Some(target) = self.target
            && said.score(target) == 0.0
            && is_nothing(&slopes.of_score(target)?)
        {
            let gradient = self.redirected(interrupt, pixels, target)?;
            if !is_nothing(&gradient) {
                return Ok(Slope { said, value: pull.value, gradient });
            }
        }
        let mut gradient = slopes.gradient(pull.of, std::slice::from_ref(&pull.weights))?;
        if is_nothing(&gradient) && loss != Loss::Margin {
            // probabilities of 0 and 1 have no slope, scores have
            let margin = Loss::Margin.pull(&said, self.own, self.target);
            gradient = slopes.gradient(margin.of, &[margin.weights])?;
        }
        if is_nothing(&gradient) {
            gradient = self.redirected(interrupt, pixels, self.rival(&said))?;
        }
        Ok(Slope { said, value: pull.value, gradient })
    }

    /// The gradient of the score of a class minus that of another, from a run over one image. A score that a rectifier
    /// holds at 0 gets the gradient that would switch it on.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn towards(
        &self,
        interrupt: &Interrupt,
        pixels: &[f32],
        slopes: &Slopes,
        (class, from): (usize, usize),
    ) -> Result<Vec<f32>> {
        let score = slopes.said.first().map_or(0.0, |said| said.score(class));
        if score == 0.0 && is_nothing(&slopes.of_score(class)?) {
            let mut gradient = self.redirected(interrupt, pixels, class)?;
            let other = slopes.of_score(from)?;
            gradient.iter_mut().zip(other).for_each(|(more, less)| *more -= less);
            return Ok(gradient);
        }
        slopes.of_difference(Some(class), Some(from))
    }

    /// The gradient of the score of a class where rectifiers that block all of it let through what would switch them
    /// on.
    fn redirected(&self, interrupt: &Interrupt, pixels: &[f32], class: usize) -> Result<Vec<f32>> {
        if !self.lens.model.graph().nodes().iter().any(|node| node.op.is_rectifier()) {
            return Ok(vec![0.0; pixels.len()]);
        }
        self.lens.slopes(interrupt, pixels.to_vec(), &Rules::from(Rule::Redirected))?.of_score(class)
    }
}

/// A loss of one image.
#[derive(Clone, Debug)]
pub(super) struct Slope {
    /// What the network says about the image.
    pub said: Said,
    /// The value of the loss.
    pub value: f32,
    /// Its gradient at the pixels.
    pub gradient: Vec<f32>,
}

/// What was said about the one image of a run.
pub(super) fn only(said: Vec<Said>) -> Result<Said> {
    let mut said = said.into_iter();
    said.next().ok_or_else(|| Error::new(Kind::Internal, "the network said nothing about an image"))
}

fn is_nothing(gradient: &[f32]) -> bool {
    gradient.iter().all(|value| *value == 0.0)
}
