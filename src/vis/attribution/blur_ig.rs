//! Blur IG: integrated gradients along a path that blurs the image.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::Tensor;

use super::{Attribution, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rules};
use crate::tensor::gaussian_blur;
use crate::vis::{Explain, Gradients};

/// Which details, at which scale, the score comes from: integrated gradients along the path from the blurred image to the
/// sharp one, which needs no baseline and adds nothing that is not in the image. The values sum to the difference of both
/// ends' scores; the remainder is stated.
///
/// The integral is taken by trapezoids between equal steps of the standard deviation, and the image is mirrored at its edges.
///
/// ```rhai
/// blur_ig(photo("chelsea"), steps=20)
/// ```
#[function(source = "Xu, Venugopalan and Sundararajan, Attribution in Scale and Space, 2020, arXiv:2004.03383")]
pub fn blur_ig(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// Steps from the sharp to the blurred image.
    #[default(100)]
    #[range(1..=10000)]
    steps: usize,
    /// The standard deviation of the strongest blur, in pixels of the network's input.
    #[default(50.0)]
    #[range(0.1..)]
    sigma: f64,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    let [width, height] = question.size();
    // the kernel reaches three deviations far, and must fit into the image
    let largest = (height.min(width).saturating_sub(1) / 3) as f64;
    if sigma > largest {
        let message = format!("blur_ig: `sigma` is {sigma}; images of {width}×{height} pixels take at most {largest}");
        return Err(Error::new(Kind::Argument, message).at_argument("sigma"));
    }
    let prediction = question.answer(job)?;
    let blurred = |index: usize| -> Result<Tensor> {
        match sigma * index as f64 / steps as f64 {
            // a narrower kernel is one pixel
            deviation if deviation < 0.05 => Ok(prediction.input.clone()),
            deviation => gaussian_blur(&prediction.input, deviation, None),
        }
    };
    // what was made and waits for its gradient
    let points = Mutex::new(HashMap::new());
    let lost = || Error::new(Kind::Internal, "a point of the path is missing");
    let make = |index: usize, x: &mut [f32]| {
        let point: Vec<f32> = blurred(index)?.flatten_all()?.to_vec1()?;
        x.copy_from_slice(&point);
        points.lock().map_err(|_| lost())?.insert(index, point);
        Ok(())
    };
    let mut values = vec![0f64; prediction.input.elem_count()];
    let mut before: Option<(Vec<f32>, Vec<f32>)> = None;
    let mut end = 0.0;
    let at = Gradients { rules: &Rules::default(), layer: None };
    prediction.each_gradient(job, "blur IG", steps + 1, &at, &mut (), make, |(), range, pass| {
        let gradients = pass.gradient.flatten_from(1)?.to_vec2::<f32>()?;
        for ((index, gradient), score) in range.zip(gradients).zip(pass.scores) {
            let point: Vec<f32> = points.lock().ok().and_then(|mut points| points.remove(&index)).ok_or_else(lost)?;
            if let Some((last, sharper)) = &before {
                let gradients = last.iter().zip(&gradient);
                for (value, ((a, b), (from, to))) in values.iter_mut().zip(gradients.zip(sharper.iter().zip(&point))) {
                    *value += 0.5 * f64::from(a + b) * f64::from(from - to);
                }
            }
            before = Some((gradient, point));
            end = f64::from(score);
        }
        Ok(())
    })?;
    let error = values.iter().sum::<f64>() - (f64::from(prediction.score) - end);
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let values = Tensor::from_vec(values, prediction.input.shape(), prediction.input.device())?.squeeze(0)?;
    let unit = format!("part of the {}", prediction.score_name());
    Ok(Attribution::new("blur IG", &prediction, values, Sign::Signed, unit).with_completeness_error(error))
}
