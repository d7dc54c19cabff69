//! Attribution: which parts of an image, or of a layer, a network's answer comes from. One method, one file.

mod ablation_cam;
mod anytime;
mod baseline;
mod blur_ig;
mod cam;
mod channel_attribution;
mod channel_shares;
mod coalitions;
mod conductance;
mod crp;
mod deconvnet;
mod deep_lift;
mod eigen_cam;
mod expected_gradients;
mod extremal_perturbation;
mod full_grad;
mod grad_cam;
mod grad_cam_plus_plus;
mod grid;
mod guided_backprop;
mod guided_grad_cam;
mod guided_ig;
mod hires_cam;
mod hsic;
mod idgi;
mod input_x_gradient;
mod integrated_gradients;
mod internal_influence;
mod kernel_shap;
mod knockout;
mod layer_cam;
mod layer_maps;
mod layer_to_layer;
mod lime;
mod low_pass;
mod lrp;
mod method;
mod neuron_groups;
mod nmf;
mod occlusion;
mod quadrature;
mod refine_cam;
mod relevance;
mod rise;
mod saliency;
mod score_cam;
mod smooth;
mod smooth_grad;
mod smooth_mask;
mod sobol;
mod style;
mod why;
mod x_grad_cam;
mod xrai;

pub use ablation_cam::ablation_cam;
pub use anytime::{Anytime, Estimate, Means, RESOLVED, Sampling, Until};
pub use baseline::{Baseline, Baselines};
pub use blur_ig::blur_ig;
pub use cam::cam;
pub use channel_attribution::{By, channel_attribution};
pub use channel_shares::ChannelShares;
pub use conductance::conductance;
pub use crp::crp;
pub use deconvnet::deconvnet;
pub use deep_lift::{LiftRule, deep_lift};
pub use eigen_cam::eigen_cam;
pub use expected_gradients::expected_gradients;
pub use extremal_perturbation::{Extremal, Game, Perturbation, extremal_perturbation};
pub use full_grad::full_grad;
pub use grad_cam::grad_cam;
pub use grad_cam_plus_plus::grad_cam_plus_plus;
pub use grid::Grid;
pub use guided_backprop::guided_backprop;
pub use guided_grad_cam::guided_grad_cam;
pub use guided_ig::guided_ig;
pub use hires_cam::hires_cam;
pub use hsic::{hsic, hsic_masks};
pub use idgi::idgi;
pub use input_x_gradient::input_x_gradient;
pub use integrated_gradients::{Path, integrated_gradients};
pub use internal_influence::internal_influence;
pub use kernel_shap::{ShapOptions, kernel_shap, kernel_shap_samples};
pub use knockout::knockout;
pub use layer_cam::layer_cam;
pub use layer_maps::{AtLayers, LayerChoice, Maps};
pub use layer_to_layer::layer_to_layer;
pub use lime::{LimeOptions, lime, lime_samples};
pub use low_pass::low_pass;
pub use lrp::{lrp, lrp_layers};
pub use method::{Method, Methods};
pub use neuron_groups::{NeuronGroups, neuron_groups};
pub use occlusion::{HeightWidth, Spot, Windows, occlusion};
pub use quadrature::Quadrature;
pub use refine_cam::refine_cam;
pub use relevance::{Composite, RelevanceRule};
pub use rise::{Masks, rise, rise_masks};
pub use saliency::saliency;
pub use score_cam::score_cam;
pub use smooth::smooth;
pub use smooth_grad::{Noise, Statistic, smooth_grad};
pub use sobol::{sobol, sobol_masks};
pub use style::{Look, Style};
pub use why::{Constant, Depth, Part, Unit, Why, deeper, why};
pub use x_grad_cam::x_grad_cam;
pub use xrai::{XraiOptions, xrai};

use std::fmt;
use std::rc::Rc;

use candle_core::{D, Tensor};

use super::Prediction;
use crate::error::Result;
use crate::image::{Filter, Image, resample};
use crate::lang::{Provenance, function, value_type};
use crate::model::Layer;
use crate::tensor::TensorValue;

/// What the numbers of an attribution mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// From 0: how strongly the score reacts, in either direction.
    Magnitude,
    /// From 0: how much speaks for the class; what speaks against it is not shown.
    Positive,
    /// Positive numbers speak for the class, negative ones against it.
    Signed,
}

impl Sign {
    /// One number for each place of values `[channels, …]`: the largest magnitude, or the sum.
    fn map(self, values: &[f32], channels: usize) -> Vec<f32> {
        let plane = (values.len() / channels.max(1)).max(1);
        let mut map = vec![0f32; plane];
        for values in values.chunks_exact(plane) {
            let places = map.iter_mut().zip(values);
            match self {
                Self::Magnitude => places.for_each(|(place, value)| *place = place.max(value.abs())),
                Self::Positive | Self::Signed => places.for_each(|(place, value)| *place += value),
            }
        }
        map
    }
}

/// What a sampled attribution rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    /// Samples that were taken.
    pub samples: usize,
    /// How many were to be taken at most.
    pub most: usize,
    /// The share of the places in the top tenth that would be there with other samples too: 95 of 100 random halves of the
    /// samples (19 of 20 for large maps) agree about as many. Nothing if there were too few samples to say.
    pub stability: Option<f64>,
}

impl Sampled {
    /// Is it known which places are in the top tenth, but for one in ten?
    pub fn resolved(&self) -> bool {
        self.stability.is_some_and(|stability| stability >= RESOLVED)
    }
}

/// Where the score of a class comes from: the raw values of an attribution method.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// The method: "occlusion".
    pub method: Rc<str>,
    /// The network, the image as it saw it, what is explained, and its score.
    pub prediction: Prediction,
    /// Raw values `[C, h, w]` at the method's own resolution, which can be coarser than the image.
    pub values: Tensor,
    /// What the numbers mean.
    pub sign: Sign,
    /// What the numbers measure, for a colour bar: "drop of the \"koala\" logit".
    pub unit: String,
    /// The layer whose maps it is made of, if it is.
    pub layer: Option<Layer>,
    /// How far the sum of all values is from what the method promises it to be, in units of the score, if it promises
    /// that.
    pub completeness_error: Option<f64>,
    /// The standard error of the values `[C, h, w]`, if they were sampled.
    pub standard_error: Option<Tensor>,
    /// How it was sampled, if it was.
    pub sampled: Option<Sampled>,
    /// The windows whose covering cost most, the first one most; of occlusion.
    pub spots: Vec<Spot>,
    /// What else is to be said about it.
    pub note: Option<String>,
    /// How it is shown.
    pub look: Look,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Attribution, "attribution", "an attribution", "Where the score of a class comes from.", provenance);

impl fmt::Display for Attribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}: {}", self.method, self.prediction.target(), self.prediction.verdict())
    }
}

impl Attribution {
    /// The result of a method for a prediction.
    pub fn new(method: &str, prediction: &Prediction, values: Tensor, sign: Sign, unit: String) -> Self {
        Self {
            method: method.into(),
            prediction: prediction.clone(),
            values,
            sign,
            unit,
            layer: None,
            completeness_error: None,
            standard_error: None,
            sampled: None,
            spots: Vec::new(),
            note: None,
            look: Look::default(),
            provenance: None,
        }
    }

    /// The same attribution, made of a layer's maps.
    #[must_use]
    pub fn of_layer(self, layer: Layer) -> Self {
        Self { layer: Some(layer), ..self }
    }

    /// The same attribution, with how far the sum of its values is from what the method promises.
    #[must_use]
    pub fn with_completeness_error(self, error: f64) -> Self {
        Self { completeness_error: Some(error), ..self }
    }

    /// The same attribution, with a sentence about it.
    #[must_use]
    pub fn noted(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }

    /// The same attribution, with the standard error of its values.
    #[must_use]
    pub fn with_standard_error(self, standard_error: Tensor) -> Self {
        Self { standard_error: Some(standard_error), ..self }
    }

    /// One number for each place, `[h, w]`: over the channels the largest magnitude, or for signed values the sum.
    ///
    /// # Errors
    /// The values are not `[C, h, w]`.
    pub fn map(&self) -> Result<Tensor> {
        let (channels, height, width) = self.values.dims3()?;
        let map = self.sign.map(&self.values.flatten_all()?.to_vec1::<f32>()?, channels);
        Ok(Tensor::from_vec(map, (height, width), self.values.device())?)
    }

    /// The map at the size of the image, enlarged bilinearly if it is coarser: `height · width` values row by row.
    ///
    /// # Errors
    /// The values are not `[C, h, w]`.
    pub fn map_of_image(&self) -> Result<Vec<f32>> {
        self.of_image(&self.map()?)
    }

    /// The standard error of the map at the size of the image, if it was sampled: over the channels the largest; where the map
    /// is their sum, that of all if they err together, which is the most it can be.
    ///
    /// # Errors
    /// The values are not `[C, h, w]`.
    pub fn error_of_image(&self) -> Result<Option<Vec<f32>>> {
        let Some(error) = &self.standard_error else { return Ok(None) };
        let (channels, height, width) = error.dims3()?;
        let map = self.sign.map(&error.flatten_all()?.to_vec1::<f32>()?, channels);
        Ok(Some(self.of_image(&Tensor::from_vec(map, (height, width), error.device())?)?))
    }

    fn of_image(&self, map: &Tensor) -> Result<Vec<f32>> {
        let (height, width) = (map.dim(D::Minus2)?, map.dim(D::Minus1)?);
        let values: Vec<f32> = map.flatten_all()?.to_vec1()?;
        resample(
            &values,
            (width, height),
            (self.prediction.view.width(), self.prediction.view.height()),
            Filter::Bilinear,
        )
    }
}

/// The raw values of an attribution, a tensor [channels, height, width] at the method's own resolution.
///
/// ```rhai
/// saliency(photo("chelsea")).values.shape
/// ```
#[function(property)]
fn values(
    /// The attribution.
    attribution: &Attribution,
) -> Result<TensorValue> {
    Ok(attribution.values.clone().into())
}

/// The map of an attribution, a tensor [height, width]: over the channels the largest magnitude, or for signed values
/// the sum.
///
/// ```rhai
/// occlusion(photo("coffee"), window=64, stride=64).map.max()
/// ```
#[function(property, name = "map")]
fn map_property(
    /// The attribution.
    attribution: &Attribution,
) -> Result<TensorValue> {
    Ok(attribution.map()?.into())
}

/// The number of the class that an attribution explains; nothing if that is no class.
///
/// ```rhai
/// saliency(photo("chelsea")).class
/// ```
#[function(property)]
fn class(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Option<i64>> {
    Ok(attribution.prediction.class.as_ref().map(|class| class.class as i64))
}

/// The name of the class that an attribution explains, or in words what else it explains.
///
/// ```rhai
/// saliency(photo("chelsea")).name
/// ```
#[function(property)]
fn name(
    /// The attribution.
    attribution: &Attribution,
) -> Result<String> {
    let prediction = &attribution.prediction;
    Ok(prediction.class.as_ref().map_or_else(|| prediction.target(), |class| class.name.clone()))
}

/// The score that an attribution explains: of a class the logit, where there is one.
///
/// ```rhai
/// saliency(photo("chelsea")).score
/// ```
#[function(property)]
fn score(
    /// The attribution.
    attribution: &Attribution,
) -> Result<f64> {
    Ok(f64::from(attribution.prediction.score))
}

/// The probability that the network gives the class of an attribution, 0 to 1; nothing if it explains no class.
///
/// ```rhai
/// saliency(photo("chelsea")).probability
/// ```
#[function(property)]
fn probability(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Option<f64>> {
    Ok(attribution.prediction.probability()?.map(f64::from))
}

/// The image of an attribution as the network saw it.
///
/// ```rhai
/// saliency(photo("chelsea")).image
/// ```
#[function(property)]
fn image(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Image> {
    Ok(attribution.prediction.view.clone())
}

/// How far the sum of an attribution's values is from what its method promises, in units of the score; nothing for a
/// method that promises no sum.
///
/// ```rhai
/// saliency(photo("chelsea")).completeness_error == ()
/// ```
#[function(property)]
fn completeness_error(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Option<f64>> {
    Ok(attribution.completeness_error)
}

/// The standard error of an attribution's values, a tensor of their shape; nothing if they were not sampled.
///
/// ```rhai
/// saliency(photo("chelsea")).standard_error == ()
/// ```
#[function(property)]
fn standard_error(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Option<TensorValue>> {
    Ok(attribution.standard_error.clone().map(TensorValue::from))
}

/// How many samples an attribution rests on; nothing if it was not sampled.
///
/// ```rhai
/// rise(photo("chelsea"), samples=50, seed=1).samples
/// ```
#[function(property)]
fn samples(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Option<usize>> {
    Ok(attribution.sampled.map(|sampled| sampled.samples))
}

/// Whether the samples of an attribution tell which places are in its top tenth, but for one in ten; nothing if it was not
/// sampled.
///
/// ```rhai
/// rise(photo("chelsea"), samples=50, seed=1).resolved
/// ```
#[function(property)]
fn resolved(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Option<bool>> {
    Ok(attribution.sampled.map(|sampled| sampled.resolved()))
}

/// The share of an attribution's top tenth that would be there with other samples too: 95 of 100 random halves of the
/// samples agree about as many of its places. Nothing if it was not sampled, or from too few samples to say.
///
/// ```rhai
/// rise(photo("chelsea"), samples=50, seed=1).stability
/// ```
#[function(property)]
fn stability(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Option<f64>> {
    Ok(attribution.sampled.and_then(|sampled| sampled.stability))
}
