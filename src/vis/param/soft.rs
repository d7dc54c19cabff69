//! Pixels that near black and white more and more slowly, so that no step ends in a flat patch of either.

use candle_core::Tensor;

use super::Param;
use crate::error::Result;
use crate::tensor::{map, zip};
use crate::vis::color::same_shape;

/// How far from black or white a step begins to shrink.
const MARGIN: f32 = 0.25;

/// Parts that a change is made in: a large one must feel the limit on its way.
const PARTS: u8 = 4;

/// The pixels of images, `[N, 3, h, w]` from 0 to 1. A step that brings a pixel nearer to 0 or 1 is multiplied by
/// (d / 0.25)², where d is its distance from there, if that is less than 0.25: pixels that are black or white from the
/// start stay as they are or come back, and no other one gets there.
#[derive(Clone, Debug)]
pub struct Soft(Tensor);

impl Soft {
    /// Starts from images `[N, 3, h, w]`; what lies outside 0 to 1 is clipped.
    ///
    /// # Errors
    /// The tensor holds no float32 values.
    pub fn new(image: &Tensor) -> Result<Self> {
        Ok(Self(map(image, |value| value.clamp(0.0, 1.0))?))
    }
}

/// An image, from 0 to 1, that was changed by `change`, within the soft limit.
///
/// # Errors
/// The tensors have different shapes.
pub fn moved(image: &Tensor, change: &Tensor) -> Result<Tensor> {
    same_shape(image, change)?;
    zip(image, change, moved_by)
}

/// A pixel that was changed by so much, within the soft limit.
fn moved_by(value: f32, change: f32) -> f32 {
    let part = change / f32::from(PARTS);
    (0..PARTS).fold(value, |value, _| {
        let distance = if part > 0.0 { 1.0 - value } else { value };
        let room = (distance / MARGIN).min(1.0);
        (value + part.clamp(-MARGIN, MARGIN) * room * room).clamp(0.0, 1.0)
    })
}

impl Param for Soft {
    fn values(&self) -> &Tensor {
        &self.0
    }

    fn image(&self) -> Result<Tensor> {
        Ok(self.0.clone())
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        Ok(image.clone())
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        same_shape(&self.0, &values)?;
        self.0 = zip(&self.0, &values, |from, to| moved_by(from, to - from))?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::tensor::testing::{random, rng, values};

    fn one(value: f32) -> Tensor {
        Tensor::new(&[[[[value]]]], &Device::Cpu).unwrap()
    }

    fn change(from: f32, by: f32) -> f32 {
        values(&moved(&one(from), &one(by)).unwrap())[0] - from
    }

    #[test]
    fn the_middle_moves_freely_and_the_ends_slowly() {
        assert!((change(0.5, 0.1) - 0.1).abs() < 1e-6);
        assert!((change(0.5, -0.2) + 0.2).abs() < 1e-6);
        assert!(change(0.95, 0.01) < 0.001, "near white");
        assert!((change(0.95, -0.01) + 0.01).abs() < 1e-6, "away from white");
        assert_eq!(change(1.0, 0.5), 0.0);
        assert!(change(1.0, -0.5) < -0.3);
        assert_eq!(change(0.0, -0.5), 0.0);
    }

    #[test]
    fn nothing_gets_to_the_ends() {
        let mut rng = rng(1);
        for _ in 0..20 {
            let start = map(&random(&mut rng, (1, 3, 9, 7)), |value| 0.5 + 0.49 * value).unwrap();
            let mut param = Soft::new(&start).unwrap();
            for _ in 0..100 {
                let step = map(&random(&mut rng, (1, 3, 9, 7)), |value| 2.0 * value).unwrap();
                param.set((param.values() + step).unwrap()).unwrap();
            }
            assert!(values(param.values()).iter().all(|value| *value > 0.0 && *value < 1.0));
        }
    }
}
