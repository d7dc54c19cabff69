//! Layer conductance: what flows through each unit of a layer along a path from a baseline to the image.

use candle_core::Tensor;

use super::integrated_gradients::Path;
use super::quadrature::Quadrature;
use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, LayerName, Model, Rules};
use crate::vis::{Explain, Gradients};

/// What each unit of a layer contributes to the difference between the score of the image and that of a baseline: along the
/// straight line between both, the gradient at the unit times how much its activation changes. The contributions of a layer
/// that everything passes sum to the difference; the remainder is stated.
///
/// The line is cut at the places of a Gauss–Legendre rule of one step more, as Captum does.
///
/// ```rhai
/// conductance(photo("chelsea"), layer="fire9", steps=20)
/// ```
#[function(source = "Dhamdhere, Sundararajan and Yan, How Important Is a Neuron?, 2018, arXiv:1805.12233; Captum")]
pub fn conductance(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The layer: a layer, which decides the network, or the name of one. If not given, the network's last that has places.
    #[default]
    #[leading]
    layer: Option<LayerName>,
    #[options] path: &Path,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let (question, layer) = explain.question_at(job, image, layer.as_ref(), Model::default_cam_layer)?;
    question.check_depends_on(&layer)?;
    path.baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let baselines = path.baseline.inputs(job, &prediction, path.seed)?;
    let points = path.steps + 1;
    let places = Quadrature::GaussLegendre.places(points);
    let starts: Vec<Vec<f32>> =
        baselines.iter().map(|start| start.flatten_all()?.to_vec1()).collect::<candle_core::Result<_>>()?;
    let make = |index: usize, x: &mut [f32]| {
        let (start, (place, _)) = (&starts[index / points], places[index % points]);
        x.iter_mut().zip(start).for_each(|(x, start)| *x = start + place as f32 * (*x - start));
        Ok(())
    };
    let mut values: Vec<f64> = Vec::new();
    let mut shape = Vec::new();
    let mut before: Option<(Vec<f32>, Vec<f32>)> = None;
    let at = Gradients { rules: &Rules::default(), layer: Some(&layer) };
    prediction.each_gradient(job, "conductance", points * starts.len(), &at, &mut (), make, |(), range, pass| {
        let Some(activations) = pass.activations else { return Ok(()) };
        shape = activations.dims().iter().skip(1).copied().collect();
        let activations = activations.flatten_from(1)?.to_vec2::<f32>()?;
        let gradients = pass.gradient.flatten_from(1)?.to_vec2::<f32>()?;
        for ((index, activations), gradients) in range.zip(activations).zip(gradients) {
            values.resize(activations.len(), 0.0);
            if let (Some((last, slopes)), true) = (&before, index % points > 0) {
                let terms = slopes.iter().zip(activations.iter().zip(last));
                for (value, (slope, (now, last))) in values.iter_mut().zip(terms) {
                    *value += f64::from(*slope) * f64::from(now - last) / starts.len() as f64;
                }
            }
            before = Some((activations, gradients));
        }
        Ok(())
    })?;
    let start = super::integrated_gradients::baseline_score(job, &prediction, &baselines)?;
    let error = values.iter().sum::<f64>() - (f64::from(prediction.score) - start);
    let values = at_places(values, &shape, &prediction.input)?;
    let unit = format!("part of the {}", prediction.score_name());
    let attribution = Attribution::new("conductance", &prediction, values, Sign::Signed, unit);
    Ok(attribution.with_completeness_error(error).of_layer(layer))
}

/// Numbers for the units of a layer as `[channels, h, w]`; a layer without places has one.
pub(super) fn at_places(values: Vec<f64>, shape: &[usize], like: &Tensor) -> Result<Tensor> {
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    let shape = if let [units] = shape { vec![*units, 1, 1] } else { shape.to_vec() };
    Ok(Tensor::from_vec(values, shape, like.device())?)
}
