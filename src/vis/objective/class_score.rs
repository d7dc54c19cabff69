//! The score of a class: its logit, its probability, or the logarithm of that.

use candle_core::Tensor;

use super::channel::Channel;
use super::{Goal, Objective, only};
use crate::error::Result;
use crate::job::Job;
use crate::lang::{choices, function};
use crate::model::{AnswerKind, ClassName, Model, Network, NodeId};

/// Which number of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// The logit, where the network has one; else its probability or value.
    #[default]
    Score,
    /// From 0 to 1; of a regression the value.
    Probability,
    /// Its natural logarithm.
    LogProbability,
}

choices!(Measure { "score" => Score, "probability" => Probability, "log-probability" => LogProbability });

/// A number that a network gives one class.
#[derive(Clone, Debug)]
pub struct ClassScore {
    /// The class.
    pub class: ClassName,
    /// Which number.
    pub measure: Measure,
    /// The network, if it is settled.
    pub model: Option<Model>,
}

impl ClassScore {
    /// The score of a class of a known number.
    pub fn of(class: usize) -> Self {
        Self { class: class.into(), measure: Measure::Score, model: None }
    }
}

impl Objective for ClassScore {
    fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    fn class(&self) -> Option<&ClassScore> {
        Some(self)
    }

    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        self.class.resolve(model)?;
        Ok(vec![model.graph().output()])
    }

    fn channels(&self, model: &Model) -> Result<Option<Vec<usize>>> {
        // probabilities depend on all classes, and of two classes one output decides
        let alone = self.measure == Measure::Score && !model.answer().is_binary();
        if alone { Ok(Some(vec![self.class.resolve(model)?])) } else { Ok(None) }
    }

    fn unrectified(&self, model: &Model) -> Result<Option<Goal>> {
        let class = self.class.resolve(model)?;
        if self.channels(model)?.is_none() {
            return Ok(None);
        }
        let found = model.before_rectifier(model.graph().output(), class, true);
        Ok(found.map(|(layer, channel)| Goal::new(Channel { layer: layer.into(), channel })))
    }

    fn values(&self, _: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let (output, answer, class) = (only(activations)?, model.answer(), self.class.resolve(model)?);
        let all = match self.measure {
            Measure::Score => answer.scores(output)?,
            Measure::Probability => answer.probabilities(output)?,
            Measure::LogProbability => answer.log_probabilities(output)?,
        };
        Ok(all.narrow(1, class, 1)?.squeeze(1)?)
    }

    fn description(&self, model: &Model) -> String {
        let name =
            self.class.resolve(model).map_or_else(|_| "?".to_owned(), |class| model.answer().classes().name(class));
        let measure = match self.measure {
            Measure::Score => model.answer().score_name(),
            _ if model.answer().kind() == AnswerKind::Regression => model.answer().score_name(),
            Measure::Probability => "probability",
            Measure::LogProbability => "log-probability",
        };
        format!("\"{name}\" {measure}")
    }
}

/// The score of a class as an objective, to be explained: `target=class_score("tabby") - class_score("tiger cat")` asks
/// why the one and not the other.
///
/// ```rhai
/// saliency(photo("chelsea"), target=class_score("tabby") - class_score("tiger cat"))
/// ```
#[function]
pub fn class_score(
    /// The class, by name or number.
    class: ClassName,
    /// Which number: "score" (the logit, where the network has one), "probability" or "log-probability".
    #[default("score")]
    of: Measure,
    #[options] network: &Network,
) -> Result<Goal> {
    if let Some(model) = &network.model {
        class.resolve(model)?;
    }
    Ok(Goal::new(ClassScore { class, measure: of, model: network.model.clone() }))
}
