//! What a script reads off a segmentation.

use super::Segmentation;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, Scene};
use crate::lang::{Dynamic, FromValue, Reject, function};
use crate::tensor::TensorValue;

/// Something that says which pixels are inside.
#[derive(Clone, Debug)]
struct Mask {
    width: usize,
    height: usize,
    inside: Vec<f32>,
}

impl FromValue for Mask {
    const EXPECTED: &'static str = "a mask: a tensor [height, width], an image, a scene or a segmentation";
    const TYPES: &'static [&'static str] = &["tensor", "image", "scene", "segmentation"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let numbers = |inside: &[bool]| inside.iter().map(|inside| f32::from(u8::from(*inside))).collect();
        if let Ok(scene) = Scene::from_value(value) {
            let (width, height) = (scene.image.width(), scene.image.height());
            return Ok(Self { width, height, inside: numbers(scene.mask()) });
        }
        if let Ok(other) = Segmentation::from_value(value) {
            let (width, height) = (other.image.width(), other.image.height());
            return Ok(Self { width, height, inside: numbers(other.mask()) });
        }
        if let Ok(image) = Image::from_value(value) {
            let inside = match image.alpha() {
                Some(alpha) => alpha.to_vec(),
                None => image.channels()[1].to_vec(),
            };
            return Ok(Self { width: image.width(), height: image.height(), inside });
        }
        let tensor = TensorValue::from_value(value)?;
        let unreadable = |error: Error| Reject::Because(error.to_string(), None);
        match *tensor.inner().dims() {
            [height, width] | [1, height, width] => {
                Ok(Self { width, height, inside: tensor.values().map_err(unreadable)? })
            }
            ref dims => Err(Reject::Because(format!("must be a tensor [height, width], not of shape {dims:?}"), None)),
        }
    }
}

/// Which pixels are the thing's: a tensor [height, width] of 0 and 1, at the size that the network sees.
///
/// ```rhai
/// segment(photo("chelsea"), by="saliency").mask.mean()
/// ```
#[function(property)]
fn mask(
    /// The segmentation.
    segmentation: &Segmentation,
) -> Result<TensorValue> {
    let values = segmentation.mask.iter().map(|inside| f32::from(u8::from(*inside))).collect();
    TensorValue::from_values(values, &[segmentation.image.height(), segmentation.image.width()])
}

/// The image with a line around what a segmentation found.
///
/// ```rhai
/// segment(photo("chelsea"), by="saliency").outline
/// ```
#[function(property)]
fn outline(
    /// The segmentation.
    segmentation: &Segmentation,
) -> Result<Image> {
    segmentation.outline()
}

/// The image, pale where nothing was found, with a line around what was.
///
/// ```rhai
/// segment(photo("chelsea"), by="saliency").overlay
/// ```
#[function(property)]
fn overlay(
    /// The segmentation.
    segmentation: &Segmentation,
) -> Result<Image> {
    segmentation.overlay()
}

/// What a segmentation found, as a cut-out that can be put onto another background.
///
/// ```rhai
/// compose(photo("grass"), segment(photo("chelsea"), by="saliency").cutout)
/// ```
#[function(property)]
fn cutout(
    /// The segmentation.
    segmentation: &Segmentation,
) -> Result<Image> {
    segmentation.cutout()
}

/// How well what was found agrees with a mask: the pixels that both have as a share of those that either has, from 0 to 1.
///
/// ```rhai
/// let koala = scene(photo("grass"), "mammal/koala");
/// segment(koala.image, class="koala", by="saliency").iou(koala)
/// ```
#[function]
fn iou(
    /// The segmentation.
    segmentation: &Segmentation,
    /// A tensor [height, width], an image, a scene or another segmentation, of the size of the image that was given or of
    /// what the network sees of it. What is above 0.5, opaque or bright, is inside.
    mask: Mask,
) -> Result<f64> {
    let (width, height) = (segmentation.image.width(), segmentation.image.height());
    let (wide, high) = segmentation.given;
    let inside = if (mask.width, mask.height) == (width, height) {
        mask.inside
    } else if (mask.width, mask.height) == (wide, high) {
        // the way that the image went
        let image = Image::from_planes(wide, high, mask.inside.repeat(3), None)?;
        segmentation.model.view(&image)?.channels()[1].to_vec()
    } else {
        let (w, h) = (mask.width, mask.height);
        let message =
            format!("iou: the mask is {w}×{h}, the segmentation {width}×{height} of an image of {wide}×{high}");
        return Err(Error::new(Kind::Argument, message).at_argument("mask"));
    };
    segmentation.iou(&inside.iter().map(|value| *value > 0.5).collect::<Vec<bool>>())
}
