//! Images as tensors, and back.

use candle_core::{D, Device, Tensor};

use super::Image;
use crate::error::{Error, Kind, Result};
use crate::lang::function;
use crate::tensor::TensorValue;

impl Image {
    /// The colours as a tensor `[1, 3, height, width]` from 0 to 1; of a cut-out without its transparency.
    ///
    /// # Errors
    /// The tensor cannot be made.
    pub fn tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(self.planes(), (1, 3, self.height(), self.width()), &Device::Cpu)?)
    }

    /// A tensor `[1, 3, height, width]` as an image; what lies outside 0 to 1 is clipped.
    ///
    /// # Errors
    /// The tensor has another shape, or its values are not finite.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let (height, width) = (tensor.dim(D::Minus2)?, tensor.dim(D::Minus1)?);
        Self::from_planes(width, height, tensor.flatten_all()?.to_vec1()?, None)
    }
}

/// The pixels of an image as a tensor [3, height, width], from 0 to 1.
///
/// ```rhai
/// photo("china").to_tensor().shape
/// ```
#[function]
fn to_tensor(
    /// The image; a cut-out is put on white.
    image: Image,
) -> Result<TensorValue> {
    let flat = image.flatten(super::WHITE);
    TensorValue::from_values(flat.planes().to_vec(), &[3, flat.height(), flat.width()])
}

/// An image from a tensor: [3, height, width] in colour, [height, width] in grey. Values outside 0 to 1 are cut off.
///
/// ```rhai
/// to_image(rand([3, 32, 32], seed=1))
/// ```
#[function]
fn to_image(
    /// The tensor.
    tensor: TensorValue,
) -> Result<Image> {
    let values = tensor.values()?;
    let image = match *tensor.inner().dims() {
        [3, height, width] | [1, 3, height, width] => Image::from_planes(width, height, values, None),
        [height, width] | [1, height, width] => Image::from_planes(width, height, values.repeat(3), None),
        ref dims => Err(Error::new(Kind::Tensor, format!("to_image: a tensor of shape {dims:?} is no picture"))
            .with_hint("it takes [3, height, width] or [height, width]")),
    };
    image.map_err(|error| error.at_argument("tensor"))
}
