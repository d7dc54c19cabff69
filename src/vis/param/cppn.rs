//! A compositional pattern-producing network: a small network that gives each place its colour.

use candle_core::{Device, Tensor, Var};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Param;
use super::spectrum::Size;
use crate::error::{Error, Kind, Result};
use crate::tensor::{map, matmul, normal, with_backward, zip};
use crate::vis::color::same_shape;

/// Units of a hidden layer; each gives two numbers.
const UNITS: usize = 32;
/// Hidden layers.
const LAYERS: usize = 8;
/// How much weaker the weights of the last layer start, so that the image is near grey.
const FAINT: f32 = 0.3;
/// What the arctangent and its square are divided by, which brings their deviation near 1.
const SPREAD: [f64; 2] = [0.67, 0.6];

/// The weights and biases of a network for each of N images, `[N, parameters]`, from a place (x, y) to its colour.
///
/// Places lie from −√3 to √3 along the shorter side, so that they have deviation 1. Eight layers of 32 units follow, each
/// with the arctangent and its square, and a sigmoid to red, green and blue. It has no pixels: the same weights make the image
/// at any size. After the `cppn` of Lucid, whose layers have 24 units (Mordvintsev et al., Differentiable Image Parameterizations, Distill 2018;
/// Stanley, 2007).
#[derive(Clone, Debug)]
pub struct Cppn {
    values: Tensor,
    size: Size,
    /// What the values stand for.
    image: Tensor,
}

/// Rows and columns of the weights of each layer; its biases follow.
fn shapes() -> Vec<[usize; 2]> {
    let hidden = (0..LAYERS).map(|layer| [UNITS, if layer == 0 { 2 } else { 2 * UNITS }]);
    hidden.chain([[3, 2 * UNITS]]).collect()
}

impl Cppn {
    /// So many networks whose weights follow from the seed. Those of the last layer are weaker, so that images are near grey.
    ///
    /// # Errors
    /// The size is 0 or larger than an image may be, or there are no images.
    pub fn new(images: usize, width: usize, height: usize, seed: u64) -> Result<Self> {
        let size = Size::new(width, height)?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut noise = normal(&mut random);
        let mut values = Vec::new();
        for _ in 0..images {
            for [rows, columns] in shapes() {
                let deviation = if rows == 3 { FAINT } else { 1.0 } * (1.0 / columns as f32).sqrt();
                values.extend(noise.by_ref().take(rows * columns).map(|value| deviation * value));
                values.extend(std::iter::repeat_n(0.0, rows));
            }
        }
        let count = values.len() / images.max(1);
        let values = Tensor::from_vec(values, (images, count), &Device::Cpu)?;
        Ok(Self { image: made(&values, size)?, values, size })
    }
}

/// x and y of each place, `[2, h w]`.
fn places(size: Size) -> Result<Tensor> {
    let half = size.width.min(size.height) as f32 / 2.0;
    let along = |index: usize, side: usize| (index as f32 + 0.5 - side as f32 / 2.0) / half * 3f32.sqrt();
    let x = (0..size.height).flat_map(|_| (0..size.width).map(|x| along(x, size.width)));
    let y = (0..size.height).flat_map(|y| std::iter::repeat_n(along(y, size.height), size.width));
    Ok(Tensor::from_vec(x.chain(y).collect::<Vec<f32>>(), (2, size.height * size.width), &Device::Cpu)?)
}

/// The images that parameters `[N, parameters]` stand for, on their tape.
fn made(values: &Tensor, size: Size) -> Result<Tensor> {
    let places = places(size)?;
    let images = (0..values.dim(0)?).map(|image| {
        let parameters = values.get(image)?;
        let (mut x, mut at) = (places.clone(), 0);
        let shapes = shapes();
        for (layer, [rows, columns]) in shapes.iter().enumerate() {
            let weights = parameters.narrow(0, at, rows * columns)?.reshape((*rows, *columns))?;
            let biases = parameters.narrow(0, at + rows * columns, *rows)?.unsqueeze(1)?;
            at += rows * (columns + 1);
            let sum = matmul(&weights, &x)?.broadcast_add(&biases)?;
            x = if layer + 1 == shapes.len() { sigmoid(&sum)? } else { composite(&sum)? };
        }
        Ok(x.reshape((1, 3, size.height, size.width))?)
    });
    let images = images.collect::<Result<Vec<_>>>()?;
    if images.is_empty() {
        return Err(Error::new(Kind::Argument, "a network is made for one image at least").at_argument("images"));
    }
    Ok(Tensor::cat(&images, 0)?)
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok(((x.neg()?.exp()? + 1.0)?.recip())?)
}

/// The arctangent and its square, spread alike. candle knows no arctangent.
fn composite(x: &Tensor) -> Result<Tensor> {
    let inner = x.detach();
    let slopes = move |above: &Tensor| zip(above, &inner, |above, x| above / (1.0 + x * x));
    let angle = with_backward(x, map(&x.detach(), f32::atan)?, slopes)?;
    Ok(Tensor::cat(&[(&angle / SPREAD[0])?, (angle.sqr()? / SPREAD[1])?], 0)?)
}

impl Param for Cppn {
    fn values(&self) -> &Tensor {
        &self.values
    }

    fn image(&self) -> Result<Tensor> {
        Ok(self.image.clone())
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        same_shape(&self.image, image)?;
        let values = Var::from_tensor(&self.values)?;
        let product = (made(values.as_tensor(), self.size)? * image)?.sum_all()?;
        let mut gradients = product.backward()?;
        let found = gradients.remove(&values).map(|gradient| gradient.detach());
        found.ok_or_else(|| Error::new(Kind::Internal, "a network without a gradient"))
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        same_shape(&self.values, &values)?;
        self.image = made(&values, self.size)?.detach();
        self.values = values;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::assert_fits;
    use super::*;
    use crate::tensor::testing::values;

    #[test]
    fn it_starts_grey_and_follows_from_the_seed() {
        let param = Cppn::new(2, 7, 5, 1).unwrap();
        assert_eq!(param.image().unwrap().dims(), [2, 3, 5, 7]);
        assert!(values(&param.image().unwrap()).iter().all(|value| (value - 0.5).abs() < 0.3));
        assert_eq!(values(param.values()), values(Cppn::new(2, 7, 5, 1).unwrap().values()));
        assert!(Cppn::new(0, 7, 5, 1).is_err());
    }

    /// Along the gradient, the sum of what is asked for grows as the gradient says.
    #[test]
    fn the_gradient_is_that_of_differences() {
        use crate::tensor::testing::{random, rng};
        let mut rng = rng(2);
        let mut param = Cppn::new(1, 6, 5, 3).unwrap();
        let count = param.values().elem_count();
        param.set((random(&mut rng, (1, count)) * 0.3).unwrap()).unwrap();
        let asked = random(&mut rng, (1, 3, 5, 6));
        let start = values(param.values());
        let gradient = values(&param.gradient(&asked).unwrap());
        let direction = values(&random(&mut rng, (1, count)));
        let mut value = |step: f32| {
            let moved: Vec<f32> = start.iter().zip(&direction).map(|(a, b)| a + step * b).collect();
            param.set(Tensor::from_vec(moved, (1, count), &Device::Cpu).unwrap()).unwrap();
            let image = values(&param.image().unwrap());
            image.iter().zip(values(&asked)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum::<f64>()
        };
        let difference = (value(1e-3) - value(-1e-3)) / 2e-3;
        let slope: f64 = gradient.iter().zip(&direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((difference - slope).abs() < 0.01 * slope.abs().max(0.1), "{difference} {slope}");
    }

    #[test]
    fn a_photograph_is_fitted() {
        assert_fits(&mut Cppn::new(1, 48, 32, 1).unwrap(), 0.004);
    }
}
