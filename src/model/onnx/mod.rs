//! Networks from ONNX files, as PyTorch, Keras and others export them.
//!
//! [`proto`] reads the file into plain structs, [`fuse`] puts activations together that exporters write in pieces,
//! [`constant`] works out what does not depend on the image, and [`convert`] makes the graph and its weights, operator
//! by operator ([`operators`]). Nothing of a file is ever executed; what it may allocate is bounded by its size.

mod attributes;
mod constant;
mod convert;
mod fuse;
mod operators;
mod proto;
mod value;

use super::{ChannelOrder, Classes, InputRecipe, Model, ResizeRule};
use crate::error::{Error, Kind, Result};

/// What an ONNX file does not say about its network.
#[derive(Clone, Debug, Default)]
pub struct OnnxOptions {
    /// The names of its answers; those of ImageNet if there are 1,000, numbers else.
    pub classes: Option<Classes>,
    /// Mean per channel, in the network's order and range. If neither mean nor divisor nor range is given they are
    /// torchvision's; else what is missing changes nothing.
    pub mean: Option<[f32; 3]>,
    /// Divisor per channel.
    pub std: Option<[f32; 3]>,
    /// Order of the channels, red first if missing.
    pub order: Option<ChannelOrder>,
    /// What white is before the mean is subtracted: 1, or 255.
    pub range: Option<f64>,
    /// Height and width of its input; the file's if missing, or 224 if the file leaves it open.
    pub size: Option<usize>,
}

impl Model {
    /// A network from the bytes of an `.onnx` file. Its nodes keep their names, and so do its parameters; a softmax at
    /// the end is left out, since a model's answers are logits.
    ///
    /// # Errors
    /// The file is damaged, is no image classifier in one piece, or has an operator that is not supported; or the
    /// options do not fit the network.
    pub fn from_onnx(name: &str, bytes: &[u8], options: &OnnxOptions) -> Result<Self> {
        let converted = convert::convert(proto::parse(bytes)?, options.size, bytes.len())?;
        let classes = match &options.classes {
            Some(classes) if classes.len() != converted.outputs => {
                let message =
                    format!("there are {} class names, the network has {} answers", classes.len(), converted.outputs);
                return Err(Error::new(Kind::File, message)
                    .with_hint("one name a line, in the network's order")
                    .at_argument("classes"));
            }
            Some(classes) => classes.clone(),
            None if converted.outputs == 1000 => Classes::imagenet(),
            None => Classes::numbered(converted.outputs),
        };
        Self::new(name, converted.graph, converted.weights, classes, options.recipe(converted.size)?)
    }
}

impl OnnxOptions {
    fn recipe(&self, size: usize) -> Result<InputRecipe> {
        // torchvision's, unless something else is said: then what is not said does nothing
        let torchvision = self.mean.is_none() && self.std.is_none() && self.range.is_none();
        let (mean, std) =
            if torchvision { ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) } else { ([0.0; 3], [1.0; 3]) };
        let recipe = InputRecipe {
            size,
            order: self.order.unwrap_or(ChannelOrder::Rgb),
            range: self.range.unwrap_or(1.0),
            mean: self.mean.unwrap_or(mean),
            std: self.std.unwrap_or(std),
            resize: ResizeRule::CenterCrop { shorter: size.saturating_mul(256) / 224 },
        };
        recipe.check()?;
        Ok(recipe)
    }
}
