//! Insertion: how fast the probability rises when the most important pixels come first into a blurred image.

use super::measure::{Better, Curve, Measure, named};
use super::order::{area, descending, map_of, replaced, spread};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::vis::Prediction;
use crate::vis::attribution::Attribution;

/// Side of the blur's kernel, and its standard deviation.
const SIDE: usize = 11;
const SIGMA: f64 = 5.0;

/// The area under the probability of the class while pixels are put into a blurred image, the most important first: large if
/// the map finds what is enough for the class.
///
/// Of a target that is no class its number is taken. The image is blurred as by the authors: 11×11 pixels, standard deviation
/// 5, and zeros beyond its edges.
///
/// ```rhai
/// insertion(grad_cam(photo("chelsea")), step=2000)
/// ```
#[function(source = "Petsiuk, Das and Saenko, RISE, 2018, arXiv:1806.07421; the authors' code, eclique/RISE")]
pub fn insertion(
    job: &Job,
    /// The attribution.
    #[each]
    attribution: &Attribution,
    /// Pixels that are put in at a time.
    #[default(224)]
    #[range(1..)]
    step: usize,
) -> Result<Measure> {
    let prediction = &attribution.prediction;
    let order = descending(&map_of(attribution)?);
    let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let curve = replaced(job, "insertion", prediction, &order, step, [&blurred(prediction)?, &input])?;
    let meaning = "area under the probability while pixels are put into a blurred image";
    let (places, axes) = (spread(curve.len()), ["share of pixels inserted", "probability"]);
    Ok(Measure::new("insertion", named(attribution), area(&curve), Better::Higher, meaning).with_curves(
        axes,
        places,
        vec![Curve { label: "insertion".into(), values: curve }],
    ))
}

/// The input, blurred along both sides.
fn blurred(prediction: &Prediction) -> Result<Vec<f32>> {
    let (_, _, height, width) = prediction.input.dims4()?;
    let mut x: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let kernel = kernel();
    for plane in x.chunks_exact_mut(height * width) {
        plane.chunks_exact_mut(width).for_each(|line| blur(line, &kernel));
        for column in 0..width {
            let mut line: Vec<f32> = plane.iter().skip(column).step_by(width).copied().collect();
            blur(&mut line, &kernel);
            plane.iter_mut().skip(column).step_by(width).zip(line).for_each(|(value, blurred)| *value = blurred);
        }
    }
    Ok(x)
}

/// Blurs a line, beyond whose ends are zeros.
fn blur(line: &mut [f32], kernel: &[f64]) {
    let before = line.to_vec();
    let radius = kernel.len() / 2;
    for (place, value) in line.iter_mut().enumerate() {
        let taps = kernel.iter().enumerate().filter_map(|(tap, weight)| {
            let from = (place + tap).checked_sub(radius)?;
            before.get(from).map(|value| f64::from(*value) * weight)
        });
        *value = taps.sum::<f64>() as f32;
    }
}

/// The authors blur a single pixel in a square of the kernel's side, whose edges mirror what would leave it.
fn kernel() -> [f64; SIDE] {
    let radius = (4.0 * SIGMA + 0.5) as i64;
    let weight = |away: i64| (-0.5 * (away as f64 / SIGMA).powi(2)).exp();
    let sum: f64 = (-radius..=radius).map(weight).sum();
    let mut kernel = [0.0; SIDE];
    let side = SIDE as i64;
    for away in -radius..=radius {
        let place = (side / 2 + away).rem_euclid(2 * side);
        kernel[place.min(2 * side - 1 - place) as usize] += weight(away) / sum;
    }
    kernel
}
