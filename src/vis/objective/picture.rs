//! Objectives of the image alone: what regularizers measure.

use candle_core::{D, Tensor};

use super::{Goal, Objective, only};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Model, NodeId};
use crate::tensor::gaussian_blur;

/// Pixels from the edges that count as the border.
const BORDER: usize = 20;

/// How much a border's colour counts beside its roughness.
const BORDER_COLOR: f64 = 0.8;

/// A number of an image's pixels, red, green and blue from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// The mean of √(Δx² + Δy²), the differences to the pixels to the right and below: total variation.
    TotalVariation,
    /// The root of the mean square of what a pixel differs from middle grey.
    L2,
    /// The same with the sixth power and root, which few extreme pixels decide.
    L6,
    /// How rough and how far from grey the border is.
    BlurEdges,
}

impl Objective for Picture {
    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        model.recipe().check_picture()?;
        Ok(vec![NodeId::INPUT])
    }

    fn values(&self, _: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let rgb = model.recipe().from_input(only(activations)?)?;
        match self {
            Self::TotalVariation => total_variation(&rgb),
            Self::L2 => power_mean(&rgb, 2),
            Self::L6 => power_mean(&rgb, 6),
            Self::BlurEdges => blur_edges(&rgb),
        }
    }

    fn description(&self, _: &Model) -> String {
        let name = match self {
            Self::TotalVariation => "total variation",
            Self::L2 => "L2 norm of the image",
            Self::L6 => "L6 norm of the image",
            Self::BlurEdges => "roughness of the border",
        };
        name.to_owned()
    }
}

/// The mean over pixels and colours of √(Δx² + Δy²), the differences to the right and below, of images `[N, 3, h, w]`: `[N]`.
///
/// # Errors
/// The tensor has another shape.
pub fn total_variation(rgb: &Tensor) -> Result<Tensor> {
    let (images, _, height, width) = rgb.dims4()?;
    if height < 2 || width < 2 {
        return Ok((rgb.flatten_from(1)?.sum(1)? * 0.0)?.reshape(images)?);
    }
    let here = rgb.narrow(2, 0, height - 1)?.narrow(3, 0, width - 1)?;
    let right = rgb.narrow(2, 0, height - 1)?.narrow(3, 1, width - 1)?;
    let below = rgb.narrow(2, 1, height - 1)?.narrow(3, 0, width - 1)?;
    // the root has no slope at 0
    let square = (((right - &here)?.sqr()? + (below - &here)?.sqr()?)? + 1e-8)?;
    Ok(square.sqrt()?.flatten_from(1)?.mean(D::Minus1)?)
}

fn power_mean(rgb: &Tensor, power: i32) -> Result<Tensor> {
    let away = (rgb - 0.5)?.sqr()?;
    let mean = away.powf(f64::from(power) / 2.0)?.flatten_from(1)?.mean(D::Minus1)?;
    Ok((mean + 1e-12)?.powf(1.0 / f64::from(power))?)
}

fn blur_edges(rgb: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = rgb.dims4()?;
    let border = BORDER.min(height.div_ceil(2)).min(width.div_ceil(2));
    let on_border = |y: usize, x: usize| y < border || x < border || y + border >= height || x + border >= width;
    let mask: Vec<f32> =
        (0..height).flat_map(|y| (0..width).map(move |x| f32::from(u8::from(on_border(y, x))))).collect();
    let count = mask.iter().sum::<f32>();
    let mask = Tensor::from_vec(mask, (1, 1, height, width), rgb.device())?;
    // the blurred image is what the border is pulled to, not something that is pulled
    let sigma = (height.min(width) as f64 / 4.0).min(2.0);
    let rough = (rgb - gaussian_blur(&rgb.detach(), sigma, None)?)?.sqr()?;
    let colored = ((rgb - 0.5)?.sqr()? * BORDER_COLOR)?;
    let sum = (rough + colored)?.broadcast_mul(&mask)?.flatten_from(1)?.sum(1)?;
    Ok((sum / f64::from(3.0 * count.max(1.0)))?)
}

/// The total variation of an image as an objective: the mean over pixels and colours of √(Δx² + Δy²), the differences to
/// the right and below, from 0. Subtracted, it makes smooth images.
///
/// ```rhai
/// visualize(channel("fire3", 5) - 2.0 * tv(), size=48, steps=4, param="pixels")
/// ```
#[function(source = "Rudin, Osher and Fatemi, 1992; Mahendran and Vedaldi, 2015, arXiv:1412.0035")]
pub fn tv() -> Result<Goal> {
    Ok(Goal::new(Picture::TotalVariation))
}

/// The root of the mean square of what pixels differ from middle grey, as an objective, from 0 to 0.5. Subtracted, it
/// keeps an image pale.
///
/// ```rhai
/// visualize(channel("fire3", 5) - 1.0 * l2_norm(), size=48, steps=4, param="pixels")
/// ```
#[function(source = "Simonyan, Vedaldi and Zisserman, 2013, arXiv:1312.6034")]
pub fn l2_norm() -> Result<Goal> {
    Ok(Goal::new(Picture::L2))
}

/// The sixth root of the mean sixth power of what pixels differ from middle grey, as an objective, from 0 to 0.5.
/// Subtracted, it keeps pixels from black and white, and hardly touches the others.
///
/// ```rhai
/// visualize(channel("fire3", 5) - 1.0 * l6_norm(), size=48, steps=4, param="pixels")
/// ```
#[function(source = "Mahendran and Vedaldi, 2015, arXiv:1412.0035")]
pub fn l6_norm() -> Result<Goal> {
    Ok(Goal::new(Picture::L6))
}

/// How rough the outer 20 pixels of an image are and how far from grey, as an objective, from 0. Subtracted, it keeps the
/// border quiet, where units see what is padded.
///
/// ```rhai
/// visualize(channel("fire3", 5) - 10.0 * blur_edges(), size=64, steps=4)
/// ```
#[function(name = "blur_edges", source = "tensorflow/lucid, objectives.py, penalize_boundary_complexity")]
pub fn blur_edges_word() -> Result<Goal> {
    Ok(Goal::new(Picture::BlurEdges))
}
