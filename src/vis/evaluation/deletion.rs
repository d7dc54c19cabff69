//! Deletion: how fast the probability falls when the most important pixels are taken away first.

use super::measure::{Better, Curve, Measure, named};
use super::order::{area, behind, descending, map_of, replaced, spread};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::vis::attribution::{Attribution, Baseline};

/// The area under the probability of the class while pixels are deleted, the most important first: small if the map finds
/// what the class hangs on.
///
/// Of a target that is no class its number is taken. What is deleted becomes zero in the network's input, as the authors do
/// it, or `baseline`. The value hangs on what stands for a deleted pixel: compare maps by the same.
///
/// ```rhai
/// deletion(grad_cam(photo("chelsea")), step=2000)
/// ```
#[function(source = "Petsiuk, Das and Saenko, RISE, 2018, arXiv:1806.07421; the authors' code, eclique/RISE")]
pub fn deletion(
    job: &Job,
    /// The attribution.
    #[each]
    attribution: &Attribution,
    /// Pixels that are deleted at a time.
    #[default(224)]
    #[range(1..)]
    step: usize,
    /// What stands for a deleted pixel: "mean", "black", "white", "grey", "blur", "noise", a colour, or an image; zeros in the
    /// network's input if not given.
    #[default]
    baseline: Option<Baseline>,
) -> Result<Measure> {
    let prediction = &attribution.prediction;
    let order = descending(&map_of(attribution)?);
    let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let hidden = behind(job, prediction, baseline.as_ref(), None)?;
    let curve = replaced(job, "deletion", prediction, &order, step, [&input, &hidden])?;
    let meaning = "area under the probability while pixels are deleted";
    let (places, axes) = (spread(curve.len()), ["share of pixels deleted", "probability"]);
    Ok(Measure::new("deletion", named(attribution), area(&curve), Better::Lower, meaning).with_curves(
        axes,
        places,
        vec![Curve { label: "deletion".into(), values: curve }],
    ))
}
