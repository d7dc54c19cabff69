//! What a network says an image is.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, IntoValue, Provenance, function, value_type};
use crate::model::{AnswerKind, Network, Scored};

/// What a network says an image is, best first.
#[derive(Clone, Debug)]
pub struct Classification {
    /// The image as the network saw it.
    pub image: Image,
    /// The classes, most probable first; of a regression the values in the network's order.
    pub ranked: Vec<Scored>,
    /// What the network's answers are.
    pub kind: AnswerKind,
    /// The call that made it.
    pub provenance: Provenance,
}

impl Classification {
    /// Whether there are values, not probabilities.
    pub fn is_regression(&self) -> bool {
        self.kind == AnswerKind::Regression
    }
}

value_type!(Classification, "classification", "a classification", "The most probable classes of an image.", provenance);

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.ranked.iter().map(|ranked| ranked.name.chars().count()).max().unwrap_or(0);
        for (index, ranked) in self.ranked.iter().enumerate() {
            let line = if self.is_regression() {
                format!("{:<width$}  {}", ranked.name, ranked.score)
            } else {
                let bar = "█".repeat((ranked.probability * 30.0).round() as usize);
                format!("{:<width$}  {:>5.1} %  {bar}", ranked.name, ranked.probability * 100.0)
            };
            write!(f, "{}{}", if index > 0 { "\n" } else { "" }, line.trim_end())?;
        }
        Ok(())
    }
}

/// What the network says an image is: its most probable classes.
///
/// Each percentage is what the network's answers mean: of classes of which one holds they sum to 100, of independent
/// classes each stands for itself, and one logit gives both of its classes. A regression gives its values in the network's
/// order.
///
/// ```rhai
/// classify(photo("chelsea"), top=3)
/// ```
#[function]
pub fn classify(
    job: &Job,
    /// The image.
    image: &Image,
    /// How many classes.
    #[default(5)]
    #[range(1..=1000)]
    top: usize,
    #[options] network: &Network,
) -> Result<Classification> {
    let model = network.get(job)?;
    let view = model.view(image)?;
    let mut ranked = model.answer().read(&model.forward(&model.input(&view)?, job.interrupt())?)?;
    let kind = model.answer().kind();
    if kind != AnswerKind::Regression {
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    ranked.truncate(top);
    Ok(Classification { image: view, ranked, kind, provenance: None })
}

/// The number of the most probable class.
///
/// ```rhai
/// classify(photo("chelsea")).class
/// ```
#[function(property)]
fn class(
    /// The classification.
    classification: Classification,
) -> Result<i64> {
    Ok(classification.ranked.first().map_or(-1, |best| best.class as i64))
}

/// The name of the most probable class.
///
/// ```rhai
/// classify(photo("chelsea")).name
/// ```
#[function(property)]
fn name(
    /// The classification.
    classification: Classification,
) -> Result<String> {
    Ok(classification.ranked.first().map(|best| best.name.clone()).unwrap_or_default())
}

/// The score of the most probable class: its logit, or its probability if there is no logit; of a regression, the first
/// value.
///
/// ```rhai
/// classify(photo("chelsea")).score
/// ```
#[function(property)]
fn score(
    /// The classification.
    classification: Classification,
) -> Result<f64> {
    Ok(classification.ranked.first().map_or(0.0, |best| f64::from(best.score)))
}

/// The probability of the most probable class, 0 to 1.
///
/// ```rhai
/// classify(photo("chelsea")).probability
/// ```
#[function(property)]
fn probability(
    /// The classification.
    classification: Classification,
) -> Result<f64> {
    if classification.is_regression() {
        let message = "probability: the network is a regression, which has values and no probabilities";
        return Err(Error::new(Kind::Argument, message).with_hint("`.score` is the first value"));
    }
    Ok(classification.ranked.first().map_or(0.0, |best| f64::from(best.probability)))
}

/// All classes of a classification as a list of maps with `class`, `name`, `probability` and `score`
/// (the logit where there is one); those of a regression have no `probability`.
///
/// ```rhai
/// classify(photo("chelsea")).to_list()[1].name
/// ```
#[function]
fn to_list(
    /// The classification.
    classification: Classification,
) -> Result<Vec<Dynamic>> {
    let regression = classification.is_regression();
    let entry = |ranked: &Scored| {
        let mut map = rhai::Map::new();
        map.insert("class".into(), ranked.class.into_value());
        map.insert("name".into(), ranked.name.clone().into_value());
        map.insert("score".into(), f64::from(ranked.score).into_value());
        if !regression {
            map.insert("probability".into(), f64::from(ranked.probability).into_value());
        }
        map.into_value()
    };
    Ok(classification.ranked.iter().map(entry).collect())
}
