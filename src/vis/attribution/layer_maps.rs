//! What the methods of class activation maps share: the layer they look at, or several over the depth of a network.

use candle_core::Tensor;

use super::{Attribution, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Completer, Dynamic, FromValue, IntoValue, Options, Reject};
use crate::model::{Input, Layer, LayerName, Model, Rules, stages_up_to};
use crate::vis::{Backward, Explain, Prediction};

/// How many layers `layer="all"` shows.
const MOST_LAYERS: usize = 8;
/// The brightnesses of the copies that `augment` looks at.
const FACTORS: [f64; 3] = [0.9, 1.0, 1.1];

/// The layer whose maps are shown.
#[derive(Clone, Debug, Options)]
pub struct Maps {
    /// The layer: a layer, which decides the network, or the name of one; "all" for a strip of maps over the depth. If not
    /// given, the network's last that has places.
    #[default]
    #[leading]
    pub layer: Option<LayerChoice>,
}

/// One layer, or those over the depth of a network.
#[derive(Clone, Debug)]
pub enum LayerChoice {
    /// One.
    One(LayerName),
    /// Those that everything passes, at most eight of them.
    All,
}

impl FromValue for LayerChoice {
    const EXPECTED: &'static str = "a layer, its name, or \"all\"";
    const TYPES: &'static [&'static str] = LayerName::TYPES;
    const COMPLETE: Option<Completer> = LayerName::COMPLETE;
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match value.is_string() && value.to_string() == "all" {
            true => Ok(Self::All),
            false => LayerName::from_value(value).map(Self::One),
        }
    }
}

impl<T: Into<LayerName>> From<T> for LayerChoice {
    fn from(layer: T) -> Self {
        Self::One(layer.into())
    }
}

/// The maps of one layer, or of several.
#[derive(Clone, Debug)]
pub enum AtLayers {
    /// One.
    One(Box<Attribution>),
    /// From the first layer to the last.
    All(Vec<Attribution>),
}

impl AtLayers {
    /// The map of one layer; of several, the last one.
    ///
    /// # Errors
    /// There is none.
    pub fn one(self) -> Result<Attribution> {
        match self {
            Self::One(one) => Ok(*one),
            Self::All(all) => {
                all.into_iter().next_back().ok_or_else(|| Error::new(Kind::Internal, "a network without layers"))
            }
        }
    }
}

impl IntoValue for AtLayers {
    const NAME: &'static str = "attribution";
    fn into_value(self) -> Dynamic {
        match self {
            Self::One(one) => one.into_value(),
            Self::All(all) => all.into_iter().map(IntoValue::into_value).collect::<rhai::Array>().into(),
        }
    }
}

impl Maps {
    /// What `one` makes of the layer, or of each.
    pub(super) fn each(
        &self,
        job: &Job,
        method: &str,
        image: &Input,
        explain: &Explain,
        one: impl Fn(&Prediction, Layer) -> Result<Attribution>,
    ) -> Result<AtLayers> {
        self.look(job, method, image, explain, false, one)
    }

    /// What `one` makes of the layer and the gradient of the score there, or of each.
    pub(super) fn each_gradient(
        &self,
        job: &Job,
        method: &str,
        image: &Input,
        explain: &Explain,
        one: impl Fn(&Prediction, Layer) -> Result<Attribution>,
    ) -> Result<AtLayers> {
        self.look(job, method, image, explain, true, one)
    }

    fn look(
        &self,
        job: &Job,
        method: &str,
        image: &Input,
        explain: &Explain,
        by_gradient: bool,
        one: impl Fn(&Prediction, Layer) -> Result<Attribution>,
    ) -> Result<AtLayers> {
        let name = match &self.layer {
            Some(LayerChoice::One(name)) => Some(name),
            _ => None,
        };
        let (question, layer) = explain.question_at(job, image, name, Model::default_cam_layer)?;
        let all = matches!(self.layer, Some(LayerChoice::All));
        if !all {
            check_places(method, &layer)?;
        }
        if by_gradient {
            question.check_depends_on(&layer)?;
        }
        let backward = Backward { layer: Some(&layer), rules: Rules::default() };
        let prediction = if by_gradient { question.answer_before(job, backward)? } else { question.answer(job)? };
        if !all {
            return Ok(AtLayers::One(Box::new(one(&prediction, layer)?)));
        }
        let layers = stages_up_to(&layer, MOST_LAYERS);
        let progress = job.progress(method, layers.len());
        let mut all = Vec::with_capacity(layers.len());
        for layer in layers {
            let title = format!("{method}, {}", layer.label());
            let mut attribution = one(&prediction, layer)?;
            attribution.look.beside = true;
            attribution.look.title = Some(title);
            all.push(attribution);
            progress.advance(1)?;
        }
        Ok(AtLayers::All(all))
    }
}

/// A map needs a layer with places.
pub(super) fn check_places(method: &str, layer: &Layer) -> Result<()> {
    if layer.has_places() {
        return Ok(());
    }
    let message = format!("{method}: layer {} has no places, its shape is {:?}", layer.name(), layer.shape());
    let error = Error::new(Kind::Argument, message).at_argument("layer");
    Err(error.with_hint("choose one before the last pooling"))
}

/// A map `[1, h, w]` that a method makes of a layer's activations and the gradient of the score there, both
/// `[1, channels, h, w]`. What speaks against the class is cut off at 0, and how much that was is noted.
pub(super) fn gradient_map(
    job: &Job,
    method: &str,
    prediction: &Prediction,
    layer: Layer,
    augment: bool,
    combine: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Attribution> {
    let look = |input: &Tensor| -> Result<Tensor> {
        let pass = prediction.pass(job, input, &Rules::default(), Some(&layer))?;
        let activations = pass.activations.ok_or_else(|| Error::new(Kind::Internal, "a run without its layer"))?;
        combine(&activations, &pass.gradient)
    };
    let map = if augment {
        let mut sum: Option<Tensor> = None;
        for factor in FACTORS {
            let input = (&prediction.input * factor)?;
            let both = (look(&input)? + mirrored(&look(&mirrored(&input)?)?)?)?;
            sum = Some(match sum {
                Some(sum) => (sum + both)?,
                None => both,
            });
        }
        let sum = sum.ok_or_else(|| Error::new(Kind::Internal, "no copies"))?;
        (sum / (2 * FACTORS.len()) as f64)?
    } else {
        look(&prediction.input)?
    };
    positive_map(method, prediction, layer, &map)
}

/// The maps `[1, channels, h, w]` of a layer, each times its weight `[1, channels, 1, 1]`, added up: `[1, h, w]`.
pub(super) fn weighted_sum(maps: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let (images, channels, height, width) = maps.dims4()?;
    let sum = weights.reshape((images, 1, channels))?.matmul(&maps.reshape((images, channels, height * width))?)?;
    Ok(sum.reshape((images, height, width))?)
}

/// The positive part of a map `[1, h, w]` as an attribution.
pub(super) fn positive_map(method: &str, prediction: &Prediction, layer: Layer, map: &Tensor) -> Result<Attribution> {
    let all: Vec<f32> = map.flatten_all()?.to_vec1()?;
    let against: f64 = all.iter().map(|value| f64::from(value.min(0.0).abs())).sum();
    let total: f64 = all.iter().map(|value| f64::from(value.abs())).sum();
    let unit = format!("evidence for {}", prediction.score_name());
    let attribution = Attribution::new(method, prediction, map.relu()?, Sign::Positive, unit).of_layer(layer);
    Ok(match against >= 0.005 * total && against > 0.0 {
        true => attribution
            .noted(format!("{:.0} % of the evidence spoke against it and is cut off.", 100.0 * against / total)),
        false => attribution,
    })
}

/// From right to left.
fn mirrored(x: &Tensor) -> Result<Tensor> {
    Ok(x.flip(&[x.rank() - 1])?)
}
