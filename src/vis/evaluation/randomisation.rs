//! The randomisation test: a map that stays the same when the network forgets what it learned does not show what it learned.

use std::collections::BTreeMap;

use super::again::{Again, map};
use super::correlation::spearman;
use super::measure::{Better, Curve, Measure};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{choices, function};
use crate::model::{Input, Model, Weights};
use crate::vis::Explain;
use crate::vis::attribution::{Attribution, Method};

/// In which order layers are randomised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// From the answer down to the image.
    #[default]
    TopDown,
    /// From the image up to the answer.
    BottomUp,
}

choices!(Order { "top-down" => TopDown, "bottom-up" => BottomUp });

/// Seeds that are tried until a randomised network has a gradient.
const ATTEMPTS: u64 = 8;
/// Bins of the histogram whose entropy the efficient test compares.
const BINS: usize = 100;

/// How alike a method's map stays while the network's layers are randomised one after the other: the rank correlation of
/// its magnitude with that of the trained network's map, averaged over the stages. Near 1 means that the map does not show
/// what the network learned.
///
/// Each layer's parameters become what training starts from, and stay so for the next stages. `smooth(method, samples=50,
/// noise=0.1)` in place of the method is the smoothed test, which does not take noisy maps for changed ones.
///
/// ```rhai
/// randomisation(saliency, photo("chelsea"), stages=3, seed=1)
/// ```
#[function(
    source = "Adebayo et al., Sanity Checks for Saliency Maps, 2018, arXiv:1810.03292; Hedström et al., Sanity Checks Revisited, 2023 (smoothed)"
)]
pub fn randomisation(
    job: &Job,
    /// The method: the name of one, or another method such as `smooth(saliency)`.
    method: &Method,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// In how many stages; layer by layer if not given.
    #[default]
    #[range(1..=10000)]
    stages: Option<usize>,
    /// From which end: "top-down" (from the answer) or "bottom-up".
    #[default("top-down")]
    order: Order,
    /// The seed of the parameters; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    #[options] explain: &Explain,
) -> Result<Measure> {
    let seed = job.seed(seed);
    let again = Again::new(job, method, image, explain)?;
    let (forgetting, _) = Forgetting::awake(job, &again, order, seed)?;
    let layers = forgetting.layers.len();
    let stages = stages.unwrap_or(layers).min(layers);
    let progress = job.progress("randomisation", stages);
    let trained = magnitude(&again.clean)?;
    let (mut places, mut alike, mut blank) = (vec![0.0], vec![1.0], 0usize);
    for stage in 1..=stages {
        let count = stage * layers / stages;
        let other = magnitude(&again.of_model(job, &forgetting.model(count)?)?)?;
        places.push(count as f64);
        alike.push(spearman(&other, &trained));
        blank += usize::from(other.iter().all(|value| *value == 0.0));
        progress.advance(1)?;
    }
    let value = alike.iter().skip(1).sum::<f64>() / stages.max(1) as f64;
    let last = forgetting.layers.get(layers.saturating_sub(1)).cloned().unwrap_or_default();
    let first = forgetting.layers.first().cloned().unwrap_or_default();
    let meaning = "rank correlation with the map of the trained network";
    let mut note = format!("{layers} layers, from {first} to {last}");
    if blank > 0 {
        note += &format!("; at {blank} of {stages} stages no gradient passes, and the map is blank, which counts as 0");
    }
    Ok(Measure::new("randomisation", again.name(), value, Better::Lower, meaning)
        .with_curves(
            ["layers randomised", "rank correlation"],
            places,
            vec![Curve { label: again.name(), values: alike }],
        )
        .noted(note))
}

/// By how much the map becomes more complex when the whole network is randomised: the relative rise of the entropy of a
/// histogram of its values. A map that shows what the network learned loses its order. It needs a single run, and compares
/// no two maps pixel by pixel.
///
/// ```rhai
/// efficient_randomisation(saliency, photo("chelsea"), seed=1)
/// ```
#[function(source = "Hedström et al., Sanity Checks Revisited, 2023 (eMPRT); Quantus")]
pub fn efficient_randomisation(
    job: &Job,
    /// The method: the name of one, or another method such as `smooth(saliency)`.
    method: &Method,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The seed of the parameters; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    #[options] explain: &Explain,
) -> Result<Measure> {
    let seed = job.seed(seed);
    let again = Again::new(job, method, image, explain)?;
    let (_, other) = Forgetting::awake(job, &again, Order::TopDown, seed)?;
    let (before, after) = (histogram_entropy(&map(&again.clean)?), histogram_entropy(&map(&other)?));
    if before <= 0.0 {
        let message = format!("efficient_randomisation: the map of {} is the same everywhere", again.name());
        return Err(Error::new(Kind::Argument, message).at_argument("method"));
    }
    let meaning = "relative rise of the map's entropy when the network is randomised";
    Ok(Measure::new("efficient randomisation", again.name(), (after - before) / before, Better::Higher, meaning)
        .noted(format!("From {before:.3} to {after:.3} nats")))
}

/// The magnitudes of a map.
fn magnitude(attribution: &Attribution) -> Result<Vec<f64>> {
    Ok(map(attribution)?.into_iter().map(f64::abs).collect())
}

/// The entropy of a histogram of numbers between their least and greatest, in nats.
fn histogram_entropy(values: &[f64]) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high <= low {
        return 0.0;
    }
    let mut counts = [0usize; BINS];
    for value in values {
        let bin = ((value - low) / (high - low) * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    let share = |count: &usize| *count as f64 / values.len() as f64;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.ln()).sum()
}

/// A network that forgets its layers one after the other.
struct Forgetting {
    trained: Model,
    random: Weights,
    /// The layers with parameters, in the order in which they are forgotten.
    layers: Vec<String>,
    /// In the order of which layer each parameter is forgotten.
    when: BTreeMap<String, usize>,
}

impl Forgetting {
    /// A network that forgets, of this seed or, where a ReLU behind the class then blocks all gradients, of one of the next,
    /// and the attribution when it has forgotten all.
    fn awake(job: &Job, again: &Again<'_>, order: Order, seed: u64) -> Result<(Self, Attribution)> {
        let mut attempt = 0;
        loop {
            let forgetting = Self::new(&again.clean.prediction.model, order, seed.wrapping_add(attempt))?;
            let last = again.of_model(job, &forgetting.model(forgetting.layers.len())?)?;
            attempt += 1;
            if attempt == ATTEMPTS || magnitude(&last)?.iter().any(|value| *value != 0.0) {
                return Ok((forgetting, last));
            }
        }
    }

    fn new(model: &Model, order: Order, seed: u64) -> Result<Self> {
        let layer = |name: &str| name.rsplit_once('.').map_or(name, |(layer, _)| layer).to_owned();
        let parameters = model.graph().parameters();
        let mut layers: Vec<String> = Vec::new();
        for parameter in &parameters {
            let layer = layer(&parameter.name);
            if !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        if layers.is_empty() {
            let message = format!("{} has no parameters that could be randomised", model.name());
            return Err(Error::new(Kind::Argument, message).at_argument("model"));
        }
        if order == Order::TopDown {
            layers.reverse();
        }
        let when = |name: &str| layers.iter().position(|other| *other == layer(name)).unwrap_or(0);
        let when = parameters.iter().map(|parameter| (parameter.name.clone(), when(&parameter.name))).collect();
        Ok(Self { trained: model.clone(), random: Weights::random(model.graph(), seed)?, layers, when })
    }

    /// The network without what its first `count` layers have learned.
    fn model(&self, count: usize) -> Result<Model> {
        let model = &self.trained;
        let chosen = self.when.iter().map(|(name, when)| {
            let from = if *when < count { &self.random } else { model.weights() };
            Ok((name.clone(), from.get(name)?.clone()))
        });
        let weights = Weights::new(chosen.collect::<Result<Vec<_>>>()?)?;
        Model::new(model.name(), model.graph().clone(), weights, model.answer().clone(), model.recipe().clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_forgotten_from_the_top() {
        let model = Model::embedded().unwrap();
        let forgetting = Forgetting::new(&model, Order::TopDown, 3).unwrap();
        assert_eq!(forgetting.layers.len(), 26);
        assert_eq!(forgetting.layers[0], "classifier.1");
        let same = |a: &Weights, b: &Weights, name: &str| {
            let of = |weights: &Weights| weights.get(name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            of(a) == of(b)
        };
        let one = forgetting.model(1).unwrap();
        assert!(!same(one.weights(), model.weights(), "classifier.1.weight"));
        assert!(same(one.weights(), model.weights(), "features.12.squeeze.weight"));
        let all = forgetting.model(26).unwrap();
        assert!(same(all.weights(), &Weights::random(model.graph(), 3).unwrap(), "features.0.weight"));
    }

    /// numpy.histogram of [0, 1, 1, 5, 10] in 100 bins counts 1, 2, 1 and 1.
    #[test]
    fn the_entropy_is_that_of_the_histogram() {
        let expected = -3.0 * 0.2 * 0.2f64.ln() - 0.4 * 0.4f64.ln();
        assert!((histogram_entropy(&[0.0, 1.0, 1.0, 5.0, 10.0]) - expected).abs() < 1e-12);
    }
}
