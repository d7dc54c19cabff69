//! A number that says how good a map is, and the curves it comes from.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::lang::{Provenance, function, value_type};
use crate::plot::{Data, Plot};
use crate::tensor::TensorValue;
use crate::vis::attribution::Attribution;

/// Which numbers are good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Small ones.
    Lower,
    /// Large ones.
    Higher,
    /// It describes the map; none is better.
    Neither,
}

impl Better {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Lower => "lower is better",
            Self::Higher => "higher is better",
            Self::Neither => "",
        }
    }
}

/// Numbers over the places of a measure.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it is.
    pub label: String,
    /// Its numbers, one for each place.
    pub values: Vec<f64>,
}

/// How good an attribution is by one measure.
#[derive(Clone, Debug)]
pub struct Measure {
    /// The measure: "deletion".
    pub name: &'static str,
    /// Whose it is: "Grad-CAM for \"koala\"".
    pub of: String,
    /// The number.
    pub value: f64,
    /// Which numbers are good ones.
    pub better: Better,
    /// What the number is, in a few words.
    pub meaning: &'static str,
    /// Where the curves have their numbers, and what that is.
    pub places: Vec<f64>,
    /// What the places are, and what is measured there.
    pub axes: [&'static str; 2],
    /// The curves that the number comes from, if it does.
    pub curves: Vec<Curve>,
    /// What else is to be said.
    pub note: Option<String>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Measure, "measure", "a measure", "How good an attribution is by one measure.", provenance);

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {:.4}", self.name, self.of, self.value)?;
        match self.better {
            Better::Neither => write!(f, " ({})", self.meaning)?,
            better => write!(f, " ({}; {})", self.meaning, better.words())?,
        }
        self.note.as_ref().map_or(Ok(()), |note| write!(f, ". {note}"))
    }
}

/// Of which attribution a measure is.
pub(super) fn named(attribution: &Attribution) -> String {
    format!("{} for {}", attribution.method, attribution.prediction.target())
}

impl Measure {
    /// A measure without curves.
    pub fn new(name: &'static str, of: String, value: f64, better: Better, meaning: &'static str) -> Self {
        let (places, curves) = (Vec::new(), Vec::new());
        Self { name, of, value, better, meaning, places, axes: [""; 2], curves, note: None, provenance: None }
    }

    /// The same measure, with the curves that it comes from.
    #[must_use]
    pub fn with_curves(self, axes: [&'static str; 2], places: Vec<f64>, curves: Vec<Curve>) -> Self {
        Self { axes, places, curves, ..self }
    }

    /// The same measure, with a sentence about it.
    #[must_use]
    pub fn noted(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }

    /// Its curves as a plot, if it has any.
    ///
    /// # Errors
    /// They cannot be drawn.
    pub fn plot(&self) -> Result<Option<Plot>> {
        let mut plot: Option<Plot> = None;
        for curve in &self.curves {
            let (x, y): (Arc<[f64]>, Arc<[f64]>) = (self.places.clone().into(), curve.values.clone().into());
            let line = Plot::new(Data::Line { x, y, error: None })?.label(curve.label.clone());
            plot = Some(match plot {
                Some(plot) => plot.over(line)?,
                None => line,
            });
        }
        let [x, y] = self.axes;
        Ok(plot.map(|plot| plot.title(format!("{} of {}", self.name, self.of)).axis_titles(x, y)))
    }
}

/// The number of a measure.
///
/// ```rhai
/// sparseness(grad_cam(photo("chelsea"))).value
/// ```
#[function(property)]
fn value(
    /// The measure.
    measure: &Measure,
) -> Result<f64> {
    Ok(measure.value)
}

/// The curves that a measure comes from, a tensor [curves, places]; nothing if it comes from none.
///
/// ```rhai
/// deletion(grad_cam(photo("chelsea")), step=5000).curves.shape
/// ```
#[function(property)]
fn curves(
    /// The measure.
    measure: &Measure,
) -> Result<Option<TensorValue>> {
    if measure.curves.is_empty() {
        return Ok(None);
    }
    let values = measure.curves.iter().flat_map(|curve| &curve.values).map(|value| *value as f32).collect();
    TensorValue::from_values(values, &[measure.curves.len(), measure.places.len()]).map(Some)
}

/// The places at which the curves of a measure have their numbers, a tensor [places]; nothing if it has no curves.
///
/// ```rhai
/// road(grad_cam(photo("chelsea")), percentiles=[50, 90], seed=1).places
/// ```
#[function(property)]
fn places(
    /// The measure.
    measure: &Measure,
) -> Result<Option<TensorValue>> {
    if measure.places.is_empty() {
        return Ok(None);
    }
    let values: Vec<f32> = measure.places.iter().map(|value| *value as f32).collect();
    TensorValue::from_values(values, &[measure.places.len()]).map(Some)
}
