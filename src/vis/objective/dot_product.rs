//! How strongly an image has what another one, made with it, has in a layer: what a caricature exaggerates.

use candle_core::{D, Tensor};

use super::channel::label;
use super::{Objective, only};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Layer, LayerName, Model, NodeId};

/// The least cosine, which keeps a slope where features have nothing in common.
const LEAST: f64 = 0.1;

/// d · cᵖ for images that come in pairs, one after the other: d is the dot product of a layer's activations of the first
/// with those of the second, c their cosine, at least 0.1, and p a power from 0 up. The second of a pair counts as given, with
/// the number 0. After the `dot_compare` of Lucid (tensorflow/lucid, `recipes/caricature.py`), whose cosine lacks the length
/// of the first.
#[derive(Clone, Debug)]
pub struct DotProduct {
    /// The layer.
    pub layer: LayerName,
    /// How much it counts that nothing else is there; with 0 nothing.
    pub cosine_power: f64,
}

impl Objective for DotProduct {
    fn model(&self) -> Option<&Model> {
        self.layer.handle().map(Layer::model)
    }

    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        Ok(vec![self.layer.find(model)?.id()])
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let rows = only(activations)?.flatten_from(1)?;
        let (images, units) = rows.dims2()?;
        if images % 2 != 0 {
            return Err(Error::new(Kind::Internal, format!("{images} images are no pairs")));
        }
        let pairs = rows.reshape((images / 2, 2, units))?;
        let own = pairs.narrow(1, 0, 1)?;
        let given = pairs.narrow(1, 1, 1)?.detach();
        let dot = (&own * &given)?.sum(D::Minus1)?;
        let value = if self.cosine_power == 0.0 {
            dot
        } else {
            let length = |x: &Tensor| (x.sqr()?.sum(D::Minus1)? + 1e-12)?.sqrt();
            let cosine = (&dot / (length(&own)? * length(&given)?)?)?.maximum(LEAST)?;
            (dot * cosine.powf(self.cosine_power)?)?
        };
        Ok(Tensor::cat(&[&value, &value.zeros_like()?], 1)?.flatten_all()?)
    }

    fn description(&self, model: &Model) -> String {
        format!("what both have in {}", label(&self.layer, model))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, values};

    fn of(cosine_power: f64, rows: &[[f32; 2]]) -> Result<Vec<f32>> {
        let model = Model::embedded()?;
        let flat: Vec<f32> = rows.iter().flatten().copied().collect();
        let rows = Tensor::from_vec(flat, (rows.len(), 2), &candle_core::Device::Cpu)?;
        let objective = DotProduct { layer: "fire2".into(), cosine_power };
        let numbers = objective.values(&Job::detached(), &model, std::slice::from_ref(&rows))?;
        let gradient = objective.gradients(&Job::detached(), &model, &[rows])?;
        assert_eq!(values(&gradient[0])[2..4], [0.0, 0.0], "the second of a pair is given");
        Ok(values(&numbers))
    }

    #[test]
    fn numbers_are_those_of_the_definition() {
        let rows = [[2.0, 0.0], [3.0, 4.0], [-2.0, 2.0], [1.0, 0.0]];
        assert_close(&of(0.0, &rows).unwrap(), &[6.0, 0.0, -2.0, 0.0], 1e-6, "the dot product");
        // the cosines are 0.6 and, held at 0.1, −0.7
        assert_close(&of(2.0, &rows).unwrap(), &[6.0 * 0.36, 0.0, -2.0 * 0.01, 0.0], 1e-5, "times the squared cosine");
        assert!(of(0.0, &rows[..3]).is_err());
    }
}
