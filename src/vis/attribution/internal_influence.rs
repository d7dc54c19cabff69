//! Internal influence: the gradient at a layer, averaged along a path from a baseline to the image.

use super::conductance::at_places;
use super::integrated_gradients::Path;
use super::quadrature::Quadrature;
use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, LayerName, Model, Rules};
use crate::vis::{Explain, Gradients};

/// How strongly the score reacts to each unit of a layer, on average over the straight line from a baseline to the image.
///
/// ```rhai
/// internal_influence(photo("chelsea"), layer="fire9", steps=20)
/// ```
#[function(source = "Leino et al., Influence-Directed Explanations, 2018, arXiv:1802.03788; Captum")]
pub fn internal_influence(
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
    let places = Quadrature::GaussLegendre.places(path.steps);
    let starts: Vec<Vec<f32>> =
        baselines.iter().map(|start| start.flatten_all()?.to_vec1()).collect::<candle_core::Result<_>>()?;
    let make = |index: usize, x: &mut [f32]| {
        let (start, (place, _)) = (&starts[index / path.steps], places[index % path.steps]);
        x.iter_mut().zip(start).for_each(|(x, start)| *x = start + place as f32 * (*x - start));
        Ok(())
    };
    let mut values: Vec<f64> = Vec::new();
    let mut shape = Vec::new();
    let at = Gradients { rules: &Rules::default(), layer: Some(&layer) };
    prediction.each_gradient(
        job,
        "internal influence",
        path.steps * starts.len(),
        &at,
        &mut (),
        make,
        |(), range, pass| {
            shape = pass.gradient.dims().iter().skip(1).copied().collect();
            for (index, gradient) in range.zip(pass.gradient.flatten_from(1)?.to_vec2::<f32>()?) {
                values.resize(gradient.len(), 0.0);
                let weight = places[index % path.steps].1 / starts.len() as f64;
                values.iter_mut().zip(&gradient).for_each(|(value, slope)| *value += weight * f64::from(*slope));
            }
            Ok(())
        },
    )?;
    let values = at_places(values, &shape, &prediction.input)?;
    let unit = format!("mean gradient of the {}", prediction.score_name());
    Ok(Attribution::new("internal influence", &prediction, values, Sign::Signed, unit).of_layer(layer))
}
