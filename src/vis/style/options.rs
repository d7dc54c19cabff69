//! What of a network is a texture or a style, and how an image is brought to it.

use std::rc::Rc;

use candle_core::Tensor;

use super::loss::Eye;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Options, choices};
use crate::model::{Layer, LayerName, Model, Network};
use crate::vis::descent::{Descent, Loss};
use crate::vis::optimizer::PyramidAdam;

/// Bands below the finest that Adam moves.
const LEVELS: usize = 4;

/// What the last of Adam's steps is multiplied by.
const LAST_STEP: f64 = 0.1;

/// What a network makes of each window where its layers are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest value, as it was trained.
    Max,
    /// The mean.
    Average,
}

choices!(Pooling { "max" => Max, "average" => Average });

/// How an image descends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descending {
    /// L-BFGS with bounds.
    Lbfgs,
    /// Adam, on the bands of a Laplacian pyramid.
    Adam,
}

choices!(Descending { "lbfgs" => Lbfgs, "adam" => Adam });

impl Descending {
    /// A descent of so many steps.
    ///
    /// # Errors
    /// The start is no image.
    pub fn descent(self, loss: Rc<dyn Loss>, start: &Tensor, steps: usize, step_size: f64) -> Result<Descent> {
        match self {
            Self::Lbfgs => Descent::by_lbfgs(loss, start, steps),
            Self::Adam => {
                Descent::by_steps(loss, start, steps, Box::new(PyramidAdam::new(step_size, LEVELS)), LAST_STEP)
            }
        }
    }
}

/// What of a network is a texture or a style.
#[derive(Clone, Debug, Options)]
pub struct StyleLayers {
    /// The layers whose Gram matrices are compared: a list of layers or names. If not given, those that suit the network: of
    /// the embedded one `relu_conv1` and `fire2` to `fire5`, of VGG the first rectifier of each block. Early layers know
    /// colours and strokes, later ones larger forms.
    #[default]
    pub layers: Option<Vec<LayerName>>,
    /// How much each of the layers counts, in the order of `layers`; all alike, if not given. A layer's loss is relative to
    /// its own Gram matrix, so equal weights count equally.
    #[default]
    pub layer_weights: Option<Vec<f64>>,
    /// Whether the network's pooling takes the "max" of each window, as it was trained, or the "average"; if not given, the
    /// average for textures and the maximum for styles.
    #[default]
    pub pooling: Option<Pooling>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

impl StyleLayers {
    /// The network with these layers.
    ///
    /// # Errors
    /// There is no such layer, one is named twice or has no height and width, the weights are no weights of theirs, or the
    /// network takes no pictures.
    pub fn eye(&self, job: &Job, usual: Pooling) -> Result<Eye> {
        let handle = self.layers.iter().flatten().find_map(LayerName::handle);
        let network = Network { model: self.model.clone() }.or(handle.map(Layer::model));
        let model = network.get(job)?;
        model.recipe().check_picture().map_err(|error| error.at_argument("model"))?;
        let layers = match &self.layers {
            Some(names) => names
                .iter()
                .map(|name| name.find(&model).map_err(|error| error.at_argument("layers")))
                .collect::<Result<Vec<_>>>()?,
            None => model.default_style_layers()?,
        };
        check_layers(&layers)?;
        let weights = weights(self.layer_weights.as_deref(), layers.len(), "layer_weights", "layers")?;
        let pooled = match self.pooling.unwrap_or(usual) {
            Pooling::Max => model,
            Pooling::Average => model.with_average_pooling()?,
        };
        let layers = layers.iter().map(|layer| pooled.output().sibling(layer.id())).collect();
        Ok(Eye { model: pooled, layers, weights })
    }
}

fn check_layers(layers: &[Layer]) -> Result<()> {
    let wrong = |message: String| Err(Error::new(Kind::Argument, message).at_argument("layers"));
    if layers.is_empty() {
        return wrong("`layers` is empty: at least one layer has to be compared".to_owned());
    }
    for (at, layer) in layers.iter().enumerate() {
        if layer.shape().len() != 3 {
            return wrong(format!(
                "layer {} has no height and width, over which a Gram matrix could be taken",
                layer.name()
            ));
        }
        if layers.iter().take(at).any(|other| other.id() == layer.id()) {
            return wrong(format!("layer {} is named twice", layer.name()));
        }
    }
    Ok(())
}

/// Weights that add up to 1: those given, or equal ones.
///
/// # Errors
/// There are more or fewer than `count`, one is below 0, or all are 0.
pub fn weights(given: Option<&[f64]>, count: usize, argument: &str, of: &str) -> Result<Vec<f64>> {
    let Some(given) = given else { return Ok(vec![1.0 / count.max(1) as f64; count]) };
    let wrong = |message: String| Err(Error::new(Kind::Argument, message).at_argument(argument));
    if given.len() != count {
        return wrong(format!("`{argument}` has {} numbers for {count} {of}", given.len()));
    }
    if let Some(weight) = given.iter().find(|weight| **weight < 0.0) {
        return wrong(format!("`{argument}` are weights from 0 up, not {weight}"));
    }
    let sum: f64 = given.iter().sum();
    if sum <= 0.0 {
        return wrong(format!("`{argument}` are all 0"));
    }
    Ok(given.iter().map(|weight| weight / sum).collect())
}

/// Refuses images of [width, height] that are too small for some layers.
///
/// # Errors
/// They are.
pub fn check_size(
    eye: &Eye,
    layers: &[Layer],
    (width, height): (usize, usize),
    what: &str,
    argument: &str,
) -> Result<()> {
    let taps: Vec<_> = layers.iter().map(Layer::id).collect();
    if eye.model.check_size(&taps, height, width).is_ok() {
        return Ok(());
    }
    let (least_height, least_width) = eye.model.minimum_size(&taps)?;
    let message = format!("{what} is {width}×{height} pixels; these layers take at least {least_width}×{least_height}");
    Err(Error::new(Kind::Argument, message).at_argument(argument))
}
