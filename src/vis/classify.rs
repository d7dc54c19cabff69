//! What a network says an image is.

use std::fmt;

use candle_core::{D, Tensor};

use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, IntoValue, Provenance, function, value_type};
use crate::model::{Model, Network};

/// A class with the network's confidence in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Its number.
    pub class: usize,
    /// Its name.
    pub name: String,
    /// The softmax probability, 0 to 1.
    pub probability: f32,
    /// The number before softmax.
    pub logit: f32,
}

/// The most probable classes of an image, best first.
#[derive(Clone, Debug)]
pub struct Classification {
    /// The image as the network saw it.
    pub image: Image,
    /// The classes.
    pub ranked: Vec<Ranked>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Classification, "classification", "a classification", "The most probable classes of an image.", provenance);

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.ranked.iter().map(|ranked| ranked.name.chars().count()).max().unwrap_or(0);
        for (index, ranked) in self.ranked.iter().enumerate() {
            let bar = "█".repeat((ranked.probability * 30.0).round() as usize);
            let line = format!("{:<width$}  {:>5.1} %  {bar}", ranked.name, ranked.probability * 100.0);
            write!(f, "{}{}", if index > 0 { "\n" } else { "" }, line.trim_end())?;
        }
        Ok(())
    }
}

/// The softmax of logits [N, classes].
pub(super) fn probabilities(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?.exp()?;
    Ok(shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?)
}

/// The best classes for logits [classes].
fn rank(model: &Model, logits: &Tensor, top: usize) -> Result<Vec<Ranked>> {
    let shares: Vec<f32> = probabilities(&logits.unsqueeze(0)?)?.squeeze(0)?.to_vec1()?;
    let logits: Vec<f32> = logits.to_vec1()?;
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let ranked = |class: usize| Ranked {
        class,
        name: model.classes().name(class),
        probability: shares[class],
        logit: logits[class],
    };
    Ok(order.into_iter().take(top).map(ranked).collect())
}

/// What the network says an image is: its most probable classes.
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
    let logits = model.forward(&model.input(&view)?, job.interrupt())?.squeeze(0)?;
    Ok(Classification { image: view, ranked: rank(&model, &logits, top)?, provenance: None })
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
    Ok(classification.ranked.first().map_or(0.0, |best| f64::from(best.probability)))
}

/// All classes of a classification as a list of maps with `class`, `name`, `probability` and `logit`.
///
/// ```rhai
/// classify(photo("chelsea")).to_list()[1].name
/// ```
#[function]
fn to_list(
    /// The classification.
    classification: Classification,
) -> Result<Vec<Dynamic>> {
    let entry = |ranked: &Ranked| {
        let mut map = rhai::Map::new();
        map.insert("class".into(), ranked.class.into_value());
        map.insert("name".into(), ranked.name.clone().into_value());
        map.insert("probability".into(), f64::from(ranked.probability).into_value());
        map.insert("logit".into(), f64::from(ranked.logit).into_value());
        map.into_value()
    };
    Ok(classification.ranked.iter().map(entry).collect())
}
