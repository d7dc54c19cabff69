//! What a layer saw in one image, as a few groups of its channels.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Provenance, function, value_type};
use crate::model::{Input, Layer, LayerName, Model};
use crate::tensor::TensorValue;
use crate::vis::{Explain, Prediction};

use super::nmf::{Factors, factorize};

/// How many of its channels a group is named by.
const NAMED: usize = 4;

/// The activations of a layer as the sum of a few groups of channels that are active together.
#[derive(Clone, Debug)]
pub struct NeuronGroups {
    /// What is explained, of which network and image.
    pub prediction: Prediction,
    /// The layer.
    pub layer: Layer,
    /// Height and width of its maps.
    pub size: [usize; 2],
    /// For each group how strong it is at each place, row by row.
    pub maps: Vec<Vec<f32>>,
    /// For each group its channels' shares, of length 1.
    pub vectors: Vec<Vec<f32>>,
    /// For each group, gradient × activation of what it stands for, over all places: what it contributes to the score.
    pub effects: Vec<f64>,
    /// What gradient × activation of all of the layer is.
    pub whole: f64,
    /// What part of the activations the groups miss: the norm of the difference by that of the activations.
    pub error: f64,
    /// Steps of the factorization, and whether it had come to rest.
    pub steps: (usize, bool),
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    NeuronGroups,
    "neuron groups",
    "neuron groups",
    "What a layer saw in one image, as a few groups of its channels.",
    provenance
);

impl NeuronGroups {
    /// The channels that make up most of a group, the strongest first.
    pub fn channels(&self, group: usize) -> Vec<usize> {
        let Some(vector) = self.vectors.get(group) else { return Vec::new() };
        let mut order: Vec<usize> = (0..vector.len()).collect();
        order.sort_by(|a, b| vector[*b].total_cmp(&vector[*a]).then(a.cmp(b)));
        order.truncate(NAMED);
        order
    }

    /// How good the factorization is, and how much of the score the groups carry.
    pub fn summary(&self) -> String {
        let (steps, rest) = self.steps;
        let rest = if rest { "came to rest" } else { "did not come to rest" };
        format!(
            "The groups miss {:.1} % of the activations (norm); the factorization {rest} after {steps} steps. By gradient × \
             activation the groups carry {:.2}, the whole layer {:.2}, of the {} of {:.2}.",
            100.0 * self.error,
            self.effects.iter().sum::<f64>(),
            self.whole,
            self.prediction.score_name(),
            self.prediction.score
        )
    }
}

impl fmt::Display for NeuronGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} groups of {} for {}", self.effects.len(), self.layer.known_as(), self.prediction.target())?;
        for (group, effect) in self.effects.iter().enumerate() {
            let channels: Vec<String> = self.channels(group).iter().map(ToString::to_string).collect();
            writeln!(f, "  {}: {effect:+.4}, most of all channels {}", group + 1, channels.join(", "))?;
        }
        f.write_str(&self.summary())
    }
}

/// What a layer saw in one image, as a few groups of channels that are active together: a non-negative matrix factorization of
/// its activations, places × channels. Each group has a map of the places where it is active and a share of every channel, and
/// what it contributes to the score: gradient × activation, with its sign. The groups stand in that order, and how much of the
/// activations they miss is stated.
///
/// It starts from the singular vectors (NNDSVD), so that it needs no seed.
///
/// ```rhai
/// neuron_groups(gallery("mammal/koala"), "fire8")
/// ```
#[function(
    source = "Olah et al., The Building Blocks of Interpretability, 2018; NNDSVD: Boutsidis and Gallopoulos, 2008; hierarchical \
              alternating least squares: Cichocki and Phan, 2009"
)]
pub fn neuron_groups(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The layer, whose activations are nowhere negative: a layer, which decides the network, or the name of one.
    layer: &LayerName,
    /// How many groups.
    #[default(6)]
    #[range(1..=8)]
    groups: usize,
    #[options] explain: &Explain,
) -> Result<NeuronGroups> {
    let (prediction, layer) = explain.prediction_at(job, image, Some(layer), Model::default_cam_layer)?;
    let at = |message: String| Error::new(Kind::Argument, message).at_argument("layer");
    if layer.shape().len() != 3 {
        let message = format!("neuron_groups: {} has no places, its value is a row of numbers", layer.name());
        return Err(at(message).with_hint("choose a layer with maps"));
    }
    let (activations, gradient) = prediction.gradient_at(job, &layer)?;
    let (_, channels, height, width) = activations.dims4()?;
    let values: Vec<f32> = activations.flatten_all()?.to_vec1()?;
    if values.iter().any(|value| *value < 0.0) {
        let message = format!("neuron_groups: {} has activations below 0", layer.name());
        return Err(at(message).with_hint("choose a layer behind a ReLU"));
    }
    let most = channels.min(height * width);
    if groups > most {
        let message = format!("neuron_groups: {groups} groups of {channels} channels at {} places", height * width);
        return Err(Error::new(Kind::Argument, message).with_hint(format!("at most {most}")).at_argument("groups"));
    }
    let Factors { maps, vectors, error, steps, at_rest } = factorize(job, &values, channels, groups)?;
    let gradient: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
    let slopes: Vec<&[f32]> = gradient.chunks((height * width).max(1)).collect();
    let effect = |(map, vector): (&Vec<f64>, &Vec<f64>)| -> f64 {
        let along = |slopes: &[f32]| slopes.iter().zip(map).map(|(slope, map)| f64::from(*slope) * map).sum::<f64>();
        slopes.iter().zip(vector).map(|(slopes, share)| share * along(slopes)).sum()
    };
    let effects: Vec<f64> = maps.iter().zip(&vectors).map(effect).collect();
    let mut order: Vec<usize> = (0..effects.len()).collect();
    order.sort_by(|a, b| effects[*b].total_cmp(&effects[*a]).then(a.cmp(b)));
    let floats = |rows: &[Vec<f64>]| -> Vec<Vec<f32>> {
        order.iter().map(|group| rows[*group].iter().map(|value| *value as f32).collect()).collect()
    };
    Ok(NeuronGroups {
        whole: gradient.iter().zip(&values).map(|(slope, value)| f64::from(*slope) * f64::from(*value)).sum(),
        prediction,
        layer,
        size: [height, width],
        maps: floats(&maps),
        vectors: floats(&vectors),
        effects: order.iter().map(|group| effects[*group]).collect(),
        error,
        steps: (steps, at_rest),
        provenance: None,
    })
}

/// How strong each group is at each place, a tensor [groups, height, width].
///
/// ```rhai
/// neuron_groups(photo("chelsea"), "fire9").maps.shape
/// ```
#[function(property)]
fn maps(
    /// The groups.
    groups: &NeuronGroups,
) -> Result<TensorValue> {
    let [height, width] = groups.size;
    TensorValue::from_values(groups.maps.concat(), &[groups.maps.len(), height, width])
}

/// The share that each channel has in each group, a tensor [groups, channels]; each row has length 1.
///
/// ```rhai
/// neuron_groups(photo("chelsea"), "fire9").vectors.shape
/// ```
#[function(property)]
fn vectors(
    /// The groups.
    groups: &NeuronGroups,
) -> Result<TensorValue> {
    TensorValue::from_values(groups.vectors.concat(), &[groups.vectors.len(), groups.layer.units()])
}

/// What each group contributes to the score, a tensor [groups].
///
/// ```rhai
/// neuron_groups(photo("chelsea"), "fire9").effects
/// ```
#[function(property)]
fn effects(
    /// The groups.
    groups: &NeuronGroups,
) -> Result<TensorValue> {
    let effects: Vec<f32> = groups.effects.iter().map(|effect| *effect as f32).collect();
    let count = effects.len();
    TensorValue::from_values(effects, &[count])
}

/// What part of the activations the groups miss: the norm of the difference by that of the activations.
///
/// ```rhai
/// neuron_groups(photo("chelsea"), "fire9", groups=3).error
/// ```
#[function(property)]
fn error(
    /// The groups.
    groups: &NeuronGroups,
) -> Result<f64> {
    Ok(groups.error)
}
