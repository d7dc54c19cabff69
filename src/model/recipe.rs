//! How an image becomes a network's input, and how it comes back.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::tensor::channelwise;

/// The order in which a network reads the colour channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first, as networks trained with Caffe.
    Bgr,
}

/// How a picture of any size is brought to the network's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeRule {
    /// The shorter side becomes `shorter` pixels, keeping the proportions; then the centre is cut out.
    CenterCrop {
        /// Pixels of the shorter side before the cut, at least the network's size.
        shorter: usize,
    },
    /// Height and width become the network's size, whatever the proportions were.
    Stretch,
}

/// What a network expects of its input: input = (pixel · range − mean) / std, channel by channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRecipe {
    /// Height and width the network was trained on, in pixels.
    pub size: usize,
    /// Order of the channels.
    pub order: ChannelOrder,
    /// What white is before the mean is subtracted: 255 or 1.
    pub range: f64,
    /// Mean per channel, in the network's channel order and range.
    pub mean: [f32; 3],
    /// Divisor per channel, in the network's channel order.
    pub std: [f32; 3],
    /// How pictures get the network's size.
    pub resize: ResizeRule,
}

impl InputRecipe {
    /// Checks numbers that a user or a file gave.
    pub(super) fn check(&self) -> Result<()> {
        let fault = |name: &str, message: String| Err(Error::new(Kind::Argument, message).at_argument(name));
        if !(1..=4096).contains(&self.size) {
            return fault("size", format!("`size` is {}; it must be 1 to 4096 pixels", self.size));
        }
        if !self.range.is_finite() || self.range <= 0.0 {
            return fault("range", format!("`range` is {}; it must be above 0, usually 1 or 255", self.range));
        }
        if self.mean.iter().any(|mean| !mean.is_finite()) {
            return fault("mean", format!("`mean` is {:?}; it must be three finite numbers", self.mean));
        }
        if self.std.iter().any(|std| !std.is_finite() || *std == 0.0) {
            return fault("std", format!("`std` is {:?}; it must be three numbers other than 0", self.std));
        }
        match self.resize {
            ResizeRule::CenterCrop { shorter } if !(self.size..=4 * self.size).contains(&shorter) => {
                fault("size", format!("images are first brought to {shorter} pixels, then cut to {}", self.size))
            }
            _ => Ok(()),
        }
    }

    /// RGB images `[N, 3, H, W]` in [0, 1] as network input of the same shape. Gradients pass.
    ///
    /// # Errors
    /// `rgb` is not `[N, 3, H, W]`.
    pub fn to_input(&self, rgb: &Tensor) -> Result<Tensor> {
        let (mean, std, range) = (self.mean, self.std, self.range as f32);
        let order = self.sources(rgb)?;
        channelwise(rgb, order, |c, v| (v * range - mean[c]) / std[c], move |c| range / std[c])
    }

    /// The inverse: network input `[N, 3, H, W]` as RGB images, not clipped to [0, 1]. Gradients pass.
    ///
    /// # Errors
    /// `input` is not `[N, 3, H, W]`.
    pub fn from_input(&self, input: &Tensor) -> Result<Tensor> {
        let (mean, std, range) = (self.mean, self.std, self.range as f32);
        // mean and deviation are those of the network's channels
        let order = self.sources(input)?;
        let value = |c: usize, v: f32| (v * std[order[c]] + mean[order[c]]) / range;
        channelwise(input, order, value, move |c| std[order[c]] / range)
    }

    /// The gradient for RGB images, given that for the network input `[N, 3, H, W]` they became.
    ///
    /// # Errors
    /// `gradient` is not `[N, 3, H, W]`.
    pub fn to_rgb_gradient(&self, gradient: &Tensor) -> Result<Tensor> {
        let (order, std, range) = (self.sources(gradient)?, self.std, self.range as f32);
        channelwise(gradient, order, |c, g| g * range / std[order[c]], move |c| range / std[order[c]])
    }

    /// Where each channel comes from; the same both ways, since turning round twice changes nothing.
    fn sources(&self, x: &Tensor) -> Result<[usize; 3]> {
        match x.dims() {
            [_, 3, _, _] => Ok(match self.order {
                ChannelOrder::Rgb => [0, 1, 2],
                ChannelOrder::Bgr => [2, 1, 0],
            }),
            dims => Err(Error::new(Kind::Tensor, format!("a tensor of shape {dims:?} is no stack of colour images"))
                .with_hint("it takes [images, 3, height, width]")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::model::zoo::squeezenet::recipe;

    #[test]
    fn the_embedded_network_reads_blue_first() {
        let orange = Tensor::new(&[1f32, 0.5, 0.0], &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap();
        let input = recipe().to_input(&orange).unwrap();
        assert_eq!(input.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [-104.0, 10.5, 132.0]);
    }

    #[test]
    fn there_and_back_again() {
        let torch = InputRecipe {
            order: ChannelOrder::Rgb,
            range: 1.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            ..recipe()
        };
        for recipe in [recipe(), torch] {
            let image = Tensor::rand(0f32, 1.0, (2, 3, 4, 5), &Device::Cpu).unwrap();
            let back = recipe.from_input(&recipe.to_input(&image).unwrap()).unwrap();
            let off = (back - image).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(off < 1e-6, "{off}");
        }
    }

    #[test]
    fn gradients_pass_in_the_right_order() {
        let image = Var::ones((1, 3, 1, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
        let blue = recipe().to_input(&image).unwrap().narrow(1, 0, 1).unwrap().sum_all().unwrap();
        let gradient = blue.backward().unwrap().remove(&image).unwrap();
        let above = Tensor::new(&[1f32, 0.0, 0.0], &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap();
        let directly = recipe().to_rgb_gradient(&above).unwrap();
        assert_eq!(directly.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0, 255.0]);
        assert_eq!(gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0, 255.0]);
    }
}
