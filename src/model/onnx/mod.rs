//! Networks from ONNX files, as PyTorch, Keras and others export them.
//!
//! [`proto`] reads the file into plain structs, [`fuse`] puts activations together that exporters write in pieces,
//! [`constant`] works out what does not depend on the image, and [`convert`] makes the graph and its weights
//! ([`converter`]), operator by operator ([`operators`]). Nothing of a file is ever executed; what it may allocate is bounded by its size.

mod answer;
mod attributes;
mod constant;
mod convert;
mod converter;
mod external;
mod fuse;
mod ints;
mod operators;
mod proto;
mod scaling;
mod value;

use std::path::Path;

use self::convert::Converted;
use super::{Answer, Channels, FileLayout, InputRecipe, Model, ModelOptions, Numbers, ResizeRule};
use crate::error::Result;

/// From this size on it is assumed that images are cut as torchvision does it for ImageNet: 256 pixels to 224.
const CROPPED: usize = 224;

impl Model {
    /// A network from the bytes of an `.onnx` file. Its nodes keep their names, and so do its parameters. A softmax or a
    /// sigmoid at the end is left out, since a model's output is logits; [`Model::answer`] knows it.
    ///
    /// What the options leave open is found from the network: a uint8 input takes whole numbers from 0 to 255, a network
    /// that begins with a division by 255 takes 0 to 255, one that begins with a normalisation of 0 to 1 takes that. Where
    /// nothing is known, colour images are normalised as torchvision's for ImageNet if channels come first, and
    /// are 0 to 1 as they are if they come last (Keras) or if there is one channel; the recipe then says that it is
    /// assumed.
    ///
    /// # Errors
    /// The file is damaged, is no image classifier in one piece, or has an operator that is not supported; or the
    /// options do not fit the network.
    pub fn from_onnx(name: &str, bytes: &[u8], options: &ModelOptions) -> Result<Self> {
        Self::from_onnx_in(None, name, bytes, options)
    }

    /// The same for a file in a folder, from which weights in further files are read.
    pub(super) fn from_onnx_in(
        folder: Option<&Path>,
        name: &str,
        bytes: &[u8],
        options: &ModelOptions,
    ) -> Result<Self> {
        let mut proto = proto::parse(bytes)?;
        let files = external::read(&proto, folder)?;
        external::fill(&mut proto, &files)?;
        let size = bytes.len().saturating_add(files.values().map(Vec::len).sum());
        let converted = convert::convert(proto, options, size)?;
        let recipe = options.recipe(recipe(&converted)?)?;
        let answer = Answer::new(converted.answer, options.classes.clone(), converted.outputs)?;
        let answer = answer.assumed(converted.answer_assumed);
        Self::new(name, converted.graph, converted.weights, answer, recipe)
    }
}

/// The input of a network as far as its file tells.
fn recipe(converted: &Converted) -> Result<InputRecipe> {
    let Converted { graph, weights, height, width, channels_last, bytes, .. } = converted;
    let channels = Channels::of(graph.input_channels());
    let plain = InputRecipe::plain(channels, *height, *width);
    let layout = if *channels_last { FileLayout::ChannelsLast } else { FileLayout::ChannelsFirst };
    let white = if *bytes { Some(255.0) } else { scaling::white(graph, weights)? };
    let own = match white {
        Some(range) => InputRecipe { range, ..plain },
        None if channels == Channels::Rgb && !channels_last => {
            InputRecipe { assumed: true, ..InputRecipe::torchvision().resized(*height, *width) }
        }
        None => InputRecipe { assumed: true, ..plain },
    };
    let side = (*height).min(*width);
    let shorter = if side >= CROPPED && !channels_last { side * 256 / 224 } else { side };
    let numbers = if *bytes { Numbers::Byte } else { Numbers::Float };
    Ok(InputRecipe { resize: ResizeRule::CenterCrop { shorter }, layout, numbers, ..own })
}
