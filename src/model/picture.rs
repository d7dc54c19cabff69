//! Pictures as a model's input, and back.

use candle_core::Tensor;

use super::{Channels, Model, ResizeRule};
use crate::error::{Error, Kind, Result};
use crate::image::{Color, Image};

/// What a cut-out is put on before a network sees it.
const PLAIN: Color = [1.0, 1.0, 1.0];

impl Model {
    /// The picture as the network sees it: brought to its size, grey if the network's input is, a cut-out on white with
    /// nothing of it cut off.
    ///
    /// # Errors
    /// The network's input is no picture, or the picture cannot be resized.
    pub fn view(&self, image: &Image) -> Result<Image> {
        self.enlarged_view(image, 1)
    }

    /// The same part of an image with `factor` times as many pixels along each side: details that the network does not see.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub fn enlarged_view(&self, image: &Image, factor: usize) -> Result<Image> {
        let recipe = self.recipe();
        recipe.check_picture()?;
        let (width, height) = (factor * recipe.width, factor * recipe.height);
        let fitted = match recipe.resize {
            _ if image.alpha().is_some() => image.letterbox(width, height, PLAIN)?,
            ResizeRule::Stretch => image.resize(width, height)?,
            ResizeRule::CenterCrop { shorter } => {
                let shorter = factor * shorter;
                let enlarged = |side: usize| (side * shorter).div_ceil(width.min(height));
                let (wide, high) = (enlarged(width), enlarged(height));
                let covered = image.cover(wide, high)?;
                if (wide, high) == (width, height) {
                    covered
                } else {
                    covered.crop((wide - width) / 2, (high - height) / 2, width, height)?
                }
            }
        };
        self.as_seen(&fitted)
    }

    /// A picture of any size with what the network sees of its colours: grey if its input is.
    ///
    /// # Errors
    /// The picture cannot be made.
    pub fn as_seen(&self, image: &Image) -> Result<Image> {
        if self.recipe().channels != Channels::Grey {
            return Ok(image.clone());
        }
        let seen = self.recipe().as_seen(&pixels(image)?)?.flatten_all()?.to_vec1()?;
        let seen = Image::from_planes(image.width(), image.height(), seen, None)?;
        Ok(match image.provenance() {
            Some(provenance) => seen.with_provenance(provenance),
            None => seen,
        })
    }

    /// A picture of any size as network input [1, channels, height, width], without resizing.
    ///
    /// # Errors
    /// The network's input is no picture.
    pub fn input(&self, image: &Image) -> Result<Tensor> {
        self.recipe().to_input(&pixels(image)?)
    }

    /// The picture that became a network input [1, channels, height, width] or [channels, height, width]: the inverse of
    /// [`input`](Self::input). Values that no pixel has are cut off at black and white.
    ///
    /// # Errors
    /// The tensor has another shape or values that are not finite, or the network's input is no picture.
    pub fn image_of(&self, input: &Tensor) -> Result<Image> {
        self.recipe().check_picture()?;
        let channels = self.recipe().channels.count();
        let stack = match *input.dims() {
            [c, _, _] if c == channels => input.unsqueeze(0)?,
            [1, c, _, _] if c == channels => input.clone(),
            ref dims => {
                let message = format!("a tensor of shape {dims:?} is no input of {}", self.name());
                return Err(Error::new(Kind::Tensor, message)
                    .with_hint(format!("it takes one image: [1, {channels}, height, width]")));
            }
        };
        let rgb = self.recipe().from_input(&stack)?;
        let (height, width) = (rgb.dim(2)?, rgb.dim(3)?);
        Image::from_planes(width, height, rgb.flatten_all()?.to_vec1()?, None)
    }
}

/// [1, 3, height, width] in [0, 1], a cut-out on white.
fn pixels(image: &Image) -> Result<Tensor> {
    let flat = image.flatten(PLAIN);
    flat.tensor()
}
