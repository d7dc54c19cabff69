//! Options that several methods take, each documented once.

use super::objective::{ClassScore, Goal, Measure, two_networks};
use super::prediction::{Backward, Prediction, Question};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::Options;
use crate::model::{ClassName, Input, Layer, LayerName, Model, Network, Rules, resolve_layer};

/// What is explained, and of which network.
#[derive(Clone, Debug, Options)]
pub struct Explain {
    /// The class that is explained, by name or number; the most probable one if not given.
    #[default]
    pub class: Option<ClassName>,
    /// What is explained instead of a class: an objective, or a function of the activations such as
    /// `|a| a["fire5"].mean()`.
    #[default]
    pub target: Option<Goal>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

impl Explain {
    /// What is asked about an image: what is wrong with that is said before the network runs.
    ///
    /// # Errors
    /// There is no such class or layer, or the image cannot become the network's input.
    pub fn question(&self, job: &Job, image: &Input) -> Result<Question> {
        let goal = self.goal()?;
        let decided = goal.as_ref().and_then(|goal| goal.model()).cloned();
        if let (Some(decided), Some(model)) = (&decided, &self.model)
            && !decided.same(model)
        {
            return Err(two_networks(decided, model));
        }
        Question::new(job, Network { model: self.model.clone().or(decided) }.get(job)?, image, goal)
    }

    /// What the network predicts for an image, and the number of it that is explained.
    ///
    /// # Errors
    /// As [`question`](Self::question), or the run was interrupted.
    pub fn prediction(&self, job: &Job, image: &Input) -> Result<Prediction> {
        self.question(job, image)?.answer(job)
    }

    /// The same where the gradient at the input will be wanted next.
    ///
    /// # Errors
    /// As [`prediction`](Self::prediction).
    pub fn before_gradient(&self, job: &Job, image: &Input) -> Result<Prediction> {
        self.question(job, image)?.answer_before(job, Backward { layer: None, rules: Rules::default() })
    }

    /// What is asked about an image and a layer: the one given, or the network's default. A layer's handle decides the network.
    ///
    /// # Errors
    /// As [`question`](Self::question), and where there is no such layer, or it is another network's.
    pub fn question_at(
        &self,
        job: &Job,
        image: &Input,
        layer: Option<&LayerName>,
        default: fn(&Model) -> Result<Layer>,
    ) -> Result<(Question, Layer)> {
        let goal = self.goal()?;
        let decided = goal.as_ref().and_then(|goal| goal.model()).cloned();
        let layer = resolve_layer(job, layer, self.model.as_ref().or(decided.as_ref()), default)?;
        if let Some(decided) = decided
            && !decided.same(layer.model())
        {
            return Err(two_networks(&decided, layer.model()));
        }
        Ok((Question::new(job, layer.model().clone(), image, goal)?, layer))
    }

    /// The prediction for an image and a layer at which its gradient will be wanted.
    ///
    /// # Errors
    /// As [`question_at`](Self::question_at); and the score does not depend on the layer, or the run was interrupted.
    pub fn prediction_at(
        &self,
        job: &Job,
        image: &Input,
        layer: Option<&LayerName>,
        default: fn(&Model) -> Result<Layer>,
    ) -> Result<(Prediction, Layer)> {
        let (question, layer) = self.question_at(job, image, layer, default)?;
        question.check_depends_on(&layer)?;
        let backward = Backward { layer: Some(&layer), rules: Rules::default() };
        Ok((question.answer_before(job, backward)?, layer))
    }

    /// A layer that a method is asked about by name, without running anything yet.
    ///
    /// # Errors
    /// There is no such layer, or it is another network's.
    pub fn layer(&self, job: &Job, layer: &LayerName) -> Result<Layer> {
        let decided = self.goal()?.as_ref().and_then(|goal| goal.model()).cloned();
        resolve_layer(job, Some(layer), self.model.as_ref().or(decided.as_ref()), Model::default_cam_layer)
    }

    /// What is explained, if it is said.
    fn goal(&self) -> Result<Option<Goal>> {
        match (&self.class, &self.target) {
            (Some(_), Some(_)) => Err(Error::new(Kind::Argument, "`class` and `target` both say what is explained")
                .with_hint("give one of them; target=class_score(…) is a class too")
                .at_argument("target")),
            (Some(class), None) => {
                Ok(Some(Goal::new(ClassScore { class: class.clone(), measure: Measure::Score, model: None })))
            }
            (None, target) => Ok(target.clone()),
        }
    }
}
