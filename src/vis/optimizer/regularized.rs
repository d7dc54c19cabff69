//! Gradient ascent on pixels with the regularizers of Yosinski et al.: decay, blur, and clipping of what hardly counts.

use candle_core::{Device, Tensor};

use super::{Normalized, Optimizer};
use crate::error::{Error, Kind, Result};
use crate::tensor::with_values;
use crate::vis::transform::{Blur, Drawn};

/// A step of one mean size, after which an image is made simpler, as it differs from a colour: x ← r(x + η g).
///
/// Every pixel decays toward the colour; at times the image is blurred; and pixels that hardly differ from the colour, or that
/// hardly contribute to the objective (|Σ x g| over their colours), become the colour. In that order, where each may be left
/// out (Yosinski, Clune, Nguyen, Fuchs and Lipson, Understanding Neural Networks Through Deep Visualization, 2015,
/// arXiv:1506.06579). Parameters are pixels, `[N, 3, h, w]`.
#[derive(Clone, Debug)]
pub struct Regularized {
    /// The mean change of a pixel in one step, before it is made simpler.
    pub step_size: f64,
    /// The colour, red, green and blue from 0 to 1.
    pub around: [f32; 3],
    /// What part of its difference a pixel loses in each step, from 0 to 1.
    pub decay: f64,
    /// The standard deviation of the blur, in pixels.
    pub blur: f64,
    /// Every how many steps the image is blurred, the first included; 0 for never.
    pub blur_every: usize,
    /// The share of pixels, from 0 to 1, that are clipped because they differ least.
    pub small_norm: f64,
    /// The share of pixels, from 0 to 1, that are clipped because they contribute least.
    pub small_contribution: f64,
    /// Steps that were taken.
    pub taken: usize,
}

impl Optimizer for Regularized {
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let &[_, 3, height, width] = values.dims() else {
            let message = format!("pixels have the shape [N, 3, height, width], not {:?}", values.dims());
            return Err(Error::new(Kind::Tensor, message));
        };
        if gradient.dims() != values.dims() {
            let message =
                format!("an optimizer that works on {:?} got a tensor of shape {:?}", values.dims(), gradient.dims());
            return Err(Error::new(Kind::Tensor, message));
        }
        let around = Tensor::from_slice(&self.around, (1, 3, 1, 1), &Device::Cpu)?;
        let moved = Normalized { step_size: self.step_size }.step(values, gradient)?;
        let mut away = (moved.broadcast_sub(&around)? * (1.0 - self.decay))?;
        if self.blur_every > 0 && self.blur > 0.0 && self.taken.is_multiple_of(self.blur_every) {
            away = Blur { sigma: self.blur }.apply(&away)?;
        }
        let plane = (height * width).max(1);
        if self.small_norm > 0.0 {
            away = clipped(&away, &away, plane, self.small_norm, |x, _| x * x, |norm| norm)?;
        }
        if self.small_contribution > 0.0 {
            away = clipped(&away, gradient, plane, self.small_contribution, |x, slope| x * slope, f32::abs)?;
        }
        self.taken += 1;
        Ok(away.broadcast_add(&around)?)
    }
}

/// `[N, 3, h, w]` where the share of each image's pixels for which `size` of the sum over colours of `part` is least is 0.
fn clipped(
    x: &Tensor,
    other: &Tensor,
    plane: usize,
    share: f64,
    part: impl Fn(f32, f32) -> f32,
    size: impl Fn(f32) -> f32,
) -> Result<Tensor> {
    let clip = |image: &[f32], other: &[f32]| -> Vec<f32> {
        let mut sizes = vec![0f32; plane];
        for (image, other) in image.chunks(plane).zip(other.chunks(plane)) {
            sizes.iter_mut().zip(image.iter().zip(other)).for_each(|(size, (x, other))| *size += part(*x, *other));
        }
        sizes.iter_mut().for_each(|value| *value = size(*value));
        let mut sorted = sizes.clone();
        let count = ((share * plane as f64).round() as usize).min(plane);
        // those below the first that stays go
        let least = if count < plane { *sorted.select_nth_unstable_by(count, f32::total_cmp).1 } else { f32::INFINITY };
        let planes = image.chunks(plane).flat_map(|plane| plane.iter().zip(&sizes));
        planes.map(|(x, size)| if *size < least { 0.0 } else { *x }).collect()
    };
    let values: Vec<f32> = with_values(&x.detach(), |x| {
        with_values(&other.detach(), |other| {
            x.chunks(3 * plane).zip(other.chunks(3 * plane)).flat_map(|(image, other)| clip(image, other)).collect()
        })
    })??;
    Ok(Tensor::from_vec(values, x.shape(), &Device::Cpu)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, random, rng, values};

    const PLAIN: Regularized = Regularized {
        step_size: 0.0,
        around: [0.5, 0.25, 0.75],
        decay: 0.0,
        blur: 0.0,
        blur_every: 0,
        small_norm: 0.0,
        small_contribution: 0.0,
        taken: 0,
    };

    fn image() -> Tensor {
        random(&mut rng(1), (2, 3, 5, 4))
    }

    #[test]
    fn without_regularizers_it_is_a_step_of_one_size() {
        let (x, slopes) = (image(), random(&mut rng(2), (2, 3, 5, 4)));
        let ours = Regularized { step_size: 0.1, ..PLAIN }.step(&x, &slopes).unwrap();
        let truth = Normalized { step_size: 0.1 }.step(&x, &slopes).unwrap();
        assert_close(&values(&ours), &values(&truth), 1e-6, "step");
    }

    #[test]
    fn decay_brings_pixels_toward_the_colour() {
        let x = image();
        let ours = values(&Regularized { decay: 0.5, ..PLAIN }.step(&x, &x).unwrap());
        let colours = [0.5, 0.25, 0.75, 0.5, 0.25, 0.75];
        let truth: Vec<f32> = values(&x)
            .chunks(20)
            .zip(colours)
            .flat_map(|(plane, c)| plane.iter().map(move |v| (v + c) / 2.0))
            .collect();
        assert_close(&ours, &truth, 1e-6, "decay");
    }

    #[test]
    fn blur_comes_at_its_steps() {
        let x = image();
        let mut blurring = Regularized { blur: 1.0, blur_every: 3, ..PLAIN };
        let changes: Vec<bool> = (0..7)
            .map(|_| {
                let after = values(&blurring.step(&x, &x).unwrap());
                after.iter().zip(values(&x)).any(|(a, b)| (a - b).abs() > 1e-3)
            })
            .collect();
        assert_eq!(changes, [true, false, false, true, false, false, true]);
    }

    /// By hand: of four pixels the two that differ least, or contribute least, become the colour.
    #[test]
    fn what_hardly_counts_is_clipped() {
        let grey = Regularized { around: [0.0; 3], ..PLAIN };
        let x = Tensor::new(&[0.1f32, 0.2, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0, 0.9, 0.1, 0.1, 0.1], &Device::Cpu).unwrap();
        let x = x.reshape((1, 3, 2, 2)).unwrap();
        let kept = |optimizer: &mut Regularized, slopes: &Tensor| -> Vec<bool> {
            values(&optimizer.step(&x, slopes).unwrap())[..4].iter().map(|value| *value > 0.0).collect()
        };
        let mut norm = Regularized { small_norm: 0.5, ..grey.clone() };
        assert_eq!(kept(&mut norm, &x), [true, false, false, true]);
        // contributions: −0.8, 0.2, 0.6 and 0.0
        let slopes = [1f32, 1.0, 2.0, 0.25, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, -1.0];
        let slopes = Tensor::new(&slopes, &Device::Cpu).unwrap().reshape((1, 3, 2, 2)).unwrap();
        let mut contribution = Regularized { small_contribution: 0.5, ..grey };
        assert_eq!(kept(&mut contribution, &slopes), [true, false, true, false]);
    }

    #[test]
    fn other_shapes_are_refused() {
        let mut optimizer = PLAIN;
        assert!(optimizer.step(&image(), &random(&mut rng(3), (1, 3, 5, 4))).is_err());
        let rows = random(&mut rng(3), (2, 3));
        assert!(optimizer.step(&rows, &rows).is_err());
    }
}
