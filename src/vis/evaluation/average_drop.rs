//! Average drop and average increase: what the probability becomes when only what the map shows is seen.

use super::measure::{Better, Measure, named};
use super::order::map_of;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Reject, describe, function};
use crate::vis::attribution::Attribution;

/// An attribution, or several.
#[derive(Clone, Debug)]
pub struct Attributions(Vec<Attribution>);

impl FromValue for Attributions {
    const EXPECTED: &'static str = "an attribution or a list of them";
    const TYPES: &'static [&'static str] = &["attribution", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Ok(one) = Attribution::from_value(value) {
            return Ok(Self(vec![one]));
        }
        let list = value.read_lock::<rhai::Array>().ok_or(Reject::Type)?;
        if list.is_empty() {
            return Err(Reject::Because("is an empty list".into(), None));
        }
        let item = |item: &Dynamic| {
            Attribution::from_value(item)
                .map_err(|_| Reject::Because(format!("must hold attributions, not {}", describe(item)), None))
        };
        list.iter().map(item).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Attribution> for Attributions {
    fn from(attribution: Attribution) -> Self {
        Self(vec![attribution])
    }
}

/// The mean drop of the probability, in percent of what it was, when the image is multiplied by the map: small if the map
/// shows all that the class needs. Where the probability rises, the drop is 0.
///
/// Each map is brought to 0 … 1 by its least and greatest value, and multiplied with the network's input.
///
/// ```rhai
/// average_drop(grad_cam([photo("chelsea"), photo("coffee")]))
/// ```
#[function(source = "Chattopadhay et al., Grad-CAM++, 2018, arXiv:1710.11063")]
pub fn average_drop(
    job: &Job,
    /// An attribution, or a list of them over which the mean is taken.
    attributions: &Attributions,
) -> Result<Measure> {
    let drop = |[before, after]: [f64; 2]| (before - after).max(0.0) / before.max(f64::MIN_POSITIVE) * 100.0;
    let meaning = "percent of the probability lost when only the map is seen";
    mean(job, "average drop", attributions, Better::Lower, meaning, drop)
}

/// In how many percent of the images the probability rises when the image is multiplied by the map.
///
/// ```rhai
/// average_increase(grad_cam([photo("chelsea"), photo("coffee")]))
/// ```
#[function(source = "Chattopadhay et al., Grad-CAM++, 2018, arXiv:1710.11063")]
pub fn average_increase(
    job: &Job,
    /// An attribution, or a list of them over which the mean is taken.
    attributions: &Attributions,
) -> Result<Measure> {
    let rises = |[before, after]: [f64; 2]| if after > before { 100.0 } else { 0.0 };
    let meaning = "percent of images whose probability rises when only the map is seen";
    mean(job, "average increase", attributions, Better::Higher, meaning, rises)
}

fn mean(
    job: &Job,
    name: &'static str,
    Attributions(attributions): &Attributions,
    better: Better,
    meaning: &'static str,
    of: impl Fn([f64; 2]) -> f64,
) -> Result<Measure> {
    let mut sum = 0.0;
    for attribution in attributions {
        let map = map_of(attribution)?;
        let low = map.iter().copied().fold(f32::INFINITY, f32::min);
        let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if high <= low {
            let message = format!("{name}: the map of {} is the same everywhere", named(attribution));
            return Err(Error::new(Kind::Argument, message).at_argument("attributions"));
        }
        // the first is the image as it is
        let probabilities = attribution.prediction.probabilities(job, name, 2, |index, x| {
            if index == 1 {
                for plane in x.chunks_exact_mut(map.len()) {
                    plane.iter_mut().zip(&map).for_each(|(x, value)| *x *= (value - low) / (high - low));
                }
            }
            Ok(())
        })?;
        if let [before, after] = probabilities.as_slice() {
            sum += of([f64::from(*before), f64::from(*after)]);
        }
    }
    let of = match attributions.as_slice() {
        [one] => named(one),
        several => format!("{} attributions", several.len()),
    };
    Ok(Measure::new(name, of, sum / attributions.len().max(1) as f64, better, meaning))
}
