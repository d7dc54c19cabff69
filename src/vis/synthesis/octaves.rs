//! The sizes of an image that is made from coarse to fine.

use candle_core::{Device, Tensor};

use crate::error::{Error, Kind, Result};
use crate::image::{Filter, Image, resample};
use crate::job::Job;
use crate::lang::choices;
use crate::model::Model;
use crate::vis::objective::Goal;

/// The order of octaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OctaveOrder {
    /// Small to large.
    Up,
    /// Large to small.
    Down,
    /// Small to large to small.
    UpDown,
}

choices!(OctaveOrder { "up" => Up, "down" => Down, "up-down" => UpDown });

impl OctaveOrder {
    /// Sizes that grow, in this order.
    pub fn of(self, sizes: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
        match self {
            Self::Up => sizes,
            Self::Down => sizes.into_iter().rev().collect(),
            Self::UpDown => {
                let back = sizes.iter().rev().skip(1).copied().collect::<Vec<_>>();
                [sizes, back].concat()
            }
        }
    }
}

/// Width and height of the octaves of an image of [width, height], smallest first; the last is the image's own size.
pub fn octave_sizes([width, height]: [usize; 2], octaves: usize, scale: f64) -> Vec<(usize, usize)> {
    let shrink = |length: usize, power: usize| (length as f64 / scale.powi(power as i32)).round() as usize;
    (0..octaves).rev().map(|power| (shrink(width, power), shrink(height, power))).collect()
}

/// An octave that is smaller than the network can take is refused before anything starts.
///
/// # Errors
/// There is one, or the objective does not fit the network.
pub fn check_smallest(job: &Job, model: &Model, goal: &Goal, base: &Image, sizes: &[(usize, usize)]) -> Result<()> {
    let (own_width, own_height) = (base.width(), base.height());
    let input = model.recipe().to_input(&base.tensor()?)?;
    let taps = goal.taps(job, model, &input)?;
    let fits = |(width, height): &&(usize, usize)| model.check_size(&taps, *height, *width).is_ok();
    let fitting = sizes.iter().filter(fits).count();
    let Some((width, height)) = sizes.first() else { return Ok(()) };
    if fitting == sizes.len() {
        return Ok(());
    }
    if !fits(&&(own_width, own_height)) && fitting == 0 {
        model.check_size(&taps, own_height, own_width).map_err(|error| error.at_argument("image"))?;
    }
    let (least_height, least_width) = model.minimum_size(&taps)?;
    let message = format!(
        "the smallest of {} octaves is {width}×{height} pixels; {} takes at least {least_width}×{least_height}",
        sizes.len(),
        goal.description(model)
    );
    let error = Error::new(Kind::Argument, message);
    Err(error.with_hint(format!("this image has room for octaves={fitting}")).at_argument("octaves"))
}

/// A difference of images `[1, 3, h, w]`, of either sign, at another size.
///
/// # Errors
/// The tensor has another shape.
pub fn enlarged(detail: &Tensor, width: usize, height: usize) -> Result<Tensor> {
    let (_, _, own_height, own_width) = detail.dims4()?;
    if (width, height) == (own_width, own_height) {
        return Ok(detail.clone());
    }
    let values: Vec<f32> = detail.flatten_all()?.to_vec1()?;
    let mut resized = Vec::with_capacity(3 * width * height);
    for plane in values.chunks(own_width * own_height) {
        resized.extend(resample(plane, (own_width, own_height), (width, height), Filter::Bilinear)?);
    }
    Ok(Tensor::from_vec(resized, (1, 3, height, width), &Device::Cpu)?)
}
