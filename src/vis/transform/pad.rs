//! Padding: a border of one value, so that a network's own padding does not touch the image.

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::{Drawn, Transform};
use crate::error::{Error, Kind, Result};
use crate::tensor::{Padding, pad};

/// A border of `margin` pixels on each side, all of one value; nothing about it is random.
///
/// `[N, C, h, w]` becomes `[N, C, h + 2 margin, w + 2 margin]`. The map is affine; its adjoint cuts the border off.
/// Lucid pads by 12 pixels of grey (tensorflow/lucid, `lucid/optvis/transform.py`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pad {
    /// Pixels on each side.
    pub margin: usize,
    /// Their value in all channels, from 0 to 1.
    pub value: f32,
}

impl Pad {
    /// A border of middle grey, 0.5.
    pub fn grey(margin: usize) -> Self {
        Self { margin, value: 0.5 }
    }
}

impl Transform for Pad {
    fn draw(&self, _progress: f64, _random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        Box::new(*self)
    }
}

impl Drawn for Pad {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        pad(image, [self.margin; 4], Padding::Constant(self.value))
    }

    fn adjoint(&self, gradient: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = gradient.dims4()?;
        let inner = |side: usize| side.checked_sub(self.margin.saturating_mul(2)).filter(|inner| *inner > 0);
        let (Some(rows), Some(columns)) = (inner(height), inner(width)) else {
            let message = format!("a gradient of {width}×{height} has no border of {} pixels", self.margin);
            return Err(Error::new(Kind::Tensor, message));
        };
        Ok(gradient.narrow(2, self.margin, rows)?.narrow(3, self.margin, columns)?.contiguous()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::super::testing::{assert_adjoint, values};
    use super::*;

    #[test]
    fn the_adjoint_is_exact() {
        for margin in [0, 1, 12] {
            assert_adjoint(&Pad::grey(margin), 1);
        }
    }

    #[test]
    fn a_pixel_gets_a_grey_border() {
        let image = Tensor::new(&[[[[0.25f32]]]], &Device::Cpu).unwrap();
        let padded = Pad::grey(1).apply(&image).unwrap();
        assert_eq!(values(&padded), [0.5, 0.5, 0.5, 0.5, 0.25, 0.5, 0.5, 0.5, 0.5]);
        assert!(Pad::grey(2).adjoint(&padded).unwrap_err().message().contains("border of 2"));
    }
}
