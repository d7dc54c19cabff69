//! What a file of weights or an ONNX file does not say about its network.

use super::{AnswerKind, Channels, Classes, InputRecipe, Numbers, ResizeRule};
use crate::error::{Error, Kind, Result};

/// How pictures get a network's size, as a user says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The margin of torchvision's networks is cut off: 256 pixels on the shorter side become 224.
    Crop,
    /// As much of the centre as fits.
    Cover,
    /// All of it, whatever its proportions.
    Stretch,
}

/// What neither a file of weights nor an ONNX file says about its network. What is missing is found from the network, or
/// assumed.
#[derive(Clone, Debug, Default)]
pub struct ModelOptions {
    /// The names of its answers; see [`Answer::new`](super::Answer::new).
    pub classes: Option<Classes>,
    /// What its output is; found from the last layers if missing.
    pub answer: Option<AnswerKind>,
    /// Channels of its input, where the file leaves them open or the network can be built with any.
    pub channels: Option<usize>,
    /// Order of the channels, red first if missing.
    pub order: Option<Channels>,
    /// Mean per channel, in the network's order and range, or one for all. If neither mean nor divisor nor range is given
    /// they are the network's own; else what is missing changes nothing.
    pub mean: Option<Vec<f32>>,
    /// Divisor per channel, or one for all.
    pub std: Option<Vec<f32>>,
    /// What white is before the mean is subtracted: 1, or 255.
    pub range: Option<f64>,
    /// Height and width of its input; the file's if missing, or 224 if the file leaves it open.
    pub size: Option<[usize; 2]>,
    /// How pictures get that size.
    pub resize: Option<Resize>,
}

impl ModelOptions {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        let Self { classes, answer, channels, order, mean, std, range, size, resize } = self;
        classes.is_none()
            && answer.is_none()
            && channels.is_none()
            && order.is_none()
            && mean.is_none()
            && std.is_none()
            && range.is_none()
            && size.is_none()
            && resize.is_none()
    }

    /// The recipe of a network that has this one if nothing is given.
    ///
    /// # Errors
    /// A number is out of its range, or there are too many or too few for the network's channels.
    pub(super) fn recipe(&self, own: InputRecipe) -> Result<InputRecipe> {
        let count = own.channels.count();
        let mut recipe = match self.size {
            Some([height, width]) => own.resized(height, width),
            None => own,
        };
        if self.mean.is_some() || self.std.is_some() || self.range.is_some() {
            let bytes = recipe.numbers == Numbers::Byte;
            recipe.range = self.range.unwrap_or(if bytes { 255.0 } else { 1.0 });
            let picture = if recipe.check_picture().is_ok() { count } else { 0 };
            recipe.mean = by_channel(self.mean.as_deref(), 0.0, picture);
            recipe.std = by_channel(self.std.as_deref(), 1.0, picture);
            recipe.assumed = false;
        }
        if let Some(order) = self.order {
            if order.count() != count {
                let message = format!("`order` is {order}, but the network takes {count} channels");
                return Err(Error::new(Kind::Argument, message).at_argument("order"));
            }
            recipe.channels = order;
        }
        let side = recipe.height.min(recipe.width);
        match self.resize {
            None => {}
            Some(Resize::Stretch) => recipe.resize = ResizeRule::Stretch,
            Some(Resize::Cover) => recipe.resize = ResizeRule::CenterCrop { shorter: side },
            Some(Resize::Crop) => {
                recipe.resize = ResizeRule::CenterCrop { shorter: side.saturating_mul(256) / 224 };
            }
        }
        recipe.check()?;
        Ok(recipe)
    }
}

/// One number for each channel: those given, or the one that is given for all.
fn by_channel(given: Option<&[f32]>, missing: f32, count: usize) -> Vec<f32> {
    match given {
        None => vec![missing; count],
        Some([one]) => vec![*one; count],
        Some(numbers) => numbers.to_vec(),
    }
}
