//! Pictures as a model's input.

use candle_core::{Device, Tensor};

use super::{Model, ResizeRule};
use crate::error::Result;
use crate::image::{Color, Image};

/// What a cut-out is put on before a network sees it.
const PLAIN: Color = [1.0, 1.0, 1.0];

impl Model {
    /// The picture as the network sees it: brought to its size, a cut-out on white and nothing of it cut off.
    ///
    /// # Errors
    /// The picture cannot be resized.
    pub fn view(&self, image: &Image) -> Result<Image> {
        let size = self.recipe().size;
        if image.alpha().is_some() {
            return image.letterbox(size, PLAIN);
        }
        match self.recipe().resize {
            ResizeRule::Stretch => image.resize(size, size),
            ResizeRule::CenterCrop { shorter } if shorter == size => image.cover(size),
            ResizeRule::CenterCrop { shorter } => {
                let margin = shorter.saturating_sub(size) / 2;
                image.cover(shorter)?.crop(margin, margin, size, size)
            }
        }
    }

    /// A picture of any size as network input [1, 3, height, width], without resizing.
    ///
    /// # Errors
    /// The tensor cannot be made.
    pub fn input(&self, image: &Image) -> Result<Tensor> {
        let flat = image.flatten(PLAIN);
        let pixels = Tensor::from_slice(flat.planes(), (1, 3, flat.height(), flat.width()), &Device::Cpu)?;
        self.recipe().to_input(&pixels)
    }
}
