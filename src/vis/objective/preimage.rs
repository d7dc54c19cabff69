//! How well an image explains what a layer made of another one, among images that look natural.

use candle_core::{Tensor, Var};

use super::{FeatureDistance, Objective};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::model::{LayerName, Model, NodeId};
use crate::tensor::with_values;

/// The squared distance of white or black from middle grey, over the three colours.
const FARTHEST: f64 = 0.75;

/// −‖Φ − Φ₀‖² / ‖Φ₀‖² − `tv` V − `l6` B for a layer's activations Φ, those of another image Φ₀, and an image x from 0 to 1.
///
/// V is the mean over all pixels of what they differ from those to the right and below, squared and added up over the colours:
/// total variation with β = 2, which is high for noise. B is the mean of ‖x − ½‖⁶ over that of black: near 0 for most
/// pixels, 1 for those at the ends of the range. Mahendran and Vedaldi, Understanding Deep Image Representations by Inverting
/// Them, 2015, arXiv:1412.0035; aravindhm/deep-goggle, `core/invert_nn.m`.
#[derive(Clone, Debug)]
pub struct Preimage {
    distance: FeatureDistance,
    tv: f64,
    l6: f64,
}

impl Preimage {
    /// Of an image in a layer, with weights from 0 up for total variation and for pixels at the ends of the range.
    pub fn new(image: Image, layer: LayerName, tv: f64, l6: f64) -> Self {
        Self { distance: FeatureDistance::new(image, Some(layer)), tv, l6 }
    }

    /// The weighted total variation and excess of images `[N, 3, h, w]`, on their tape.
    fn penalty(&self, rgb: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = rgb.dims4()?;
        let pixels = (height * width) as f64;
        let away = (rgb - 0.5)?.sqr()?.sum(1)?.flatten_from(1)?;
        let mut penalty = ((away / FARTHEST)?.powf(3.0)?.sum(1)? * (self.l6 / pixels))?;
        for (dim, side) in [(2, height), (3, width)] {
            if side > 1 {
                let step = (rgb.narrow(dim, 1, side - 1)? - rgb.narrow(dim, 0, side - 1)?)?;
                penalty = (penalty + (step.sqr()?.flatten_from(1)?.sum(1)? * (self.tv / pixels))?)?;
            }
        }
        Ok(penalty)
    }

    /// The gradient of the sum of the penalties of images `[N, 3, h, w]`.
    fn penalty_gradient(&self, rgb: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = rgb.dims4()?;
        let area = (height * width).max(1);
        let smooth = (2.0 * self.tv / area as f64) as f32;
        let bound = (6.0 * self.l6 / area as f64 / FARTHEST.powi(3)) as f32;
        let gradient = with_values(&rgb.detach(), |pixels| {
            let mut gradient = vec![0f32; pixels.len()];
            for (to, from) in gradient.chunks_exact_mut(3 * area).zip(pixels.chunks_exact(3 * area)) {
                let mut squares = vec![0f32; area];
                for plane in from.chunks_exact(area) {
                    squares.iter_mut().zip(plane).for_each(|(square, value)| *square += (value - 0.5) * (value - 0.5));
                }
                for (to, plane) in to.chunks_exact_mut(area).zip(from.chunks_exact(area)) {
                    roughness(to, plane, width, smooth);
                    let inside = to.iter_mut().zip(plane).zip(&squares);
                    inside.for_each(|((to, value), square)| *to += bound * square * square * (value - 0.5));
                }
            }
            gradient
        })?;
        Ok(Tensor::from_vec(gradient, rgb.shape(), rgb.device())?)
    }
}

/// Adds `factor` × what each pixel of a plane differs from its neighbours.
fn roughness(to: &mut [f32], plane: &[f32], width: usize, factor: f32) {
    for (to, row) in to.chunks_exact_mut(width).zip(plane.chunks_exact(width)) {
        let mut before = 0.0;
        for ((to, here), next) in to.iter_mut().zip(row).zip(row.iter().skip(1).chain(row.last())) {
            *to += factor * (before - (next - here));
            before = next - here;
        }
    }
    let below = plane.iter().skip(width);
    let steps: Vec<f32> = plane.iter().zip(below).map(|(here, below)| factor * (below - here)).collect();
    to.iter_mut().zip(&steps).for_each(|(to, step)| *to -= step);
    to.iter_mut().skip(width).zip(&steps).for_each(|(to, step)| *to += step);
}

impl Objective for Preimage {
    fn model(&self) -> Option<&Model> {
        self.distance.model()
    }

    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        model.recipe().check_picture()?;
        Ok([self.distance.taps(job, model, input)?, vec![NodeId::INPUT]].concat())
    }

    fn reads(&self) -> usize {
        2
    }

    fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let (features, input) = split(activations)?;
        let penalty = self.penalty(&model.recipe().from_input(input)?)?;
        Ok((self.distance.values(job, model, features)? + penalty)?.neg()?)
    }

    fn gradients(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        let (features, input) = split(activations)?;
        let mut all = self.distance.gradients(job, model, features)?;
        // the recipe knows how pixels follow from the input
        let variable = Var::from_tensor(&input.detach())?;
        let rgb = model.recipe().from_input(variable.as_tensor())?;
        let product = (self.penalty_gradient(&rgb)? * rgb)?.sum_all()?;
        let found = product.backward()?.remove(&variable);
        all.push(found.ok_or_else(|| Error::new(Kind::Internal, "pixels do not depend on the input"))?.detach());
        Ok(all.iter().map(Tensor::neg).collect::<candle_core::Result<_>>()?)
    }

    fn description(&self, model: &Model) -> String {
        format!("−({}) of a natural image", self.distance.description(model))
    }
}

/// The layer's activations, and the input.
fn split(activations: &[Tensor]) -> Result<(&[Tensor], &Tensor)> {
    match activations {
        [features, input] => Ok((std::slice::from_ref(features), input)),
        _ => Err(Error::new(Kind::Internal, "an objective of a layer and of the input was given something else")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::photo;
    use crate::tensor::testing::{assert_close, random, rng, values};

    fn preimage(tv: f64, l6: f64) -> Preimage {
        Preimage::new(photo("chelsea").unwrap(), "fire2".into(), tv, l6)
    }

    fn images(values: &[f32], shape: (usize, usize, usize, usize)) -> Tensor {
        Tensor::from_slice(values, shape, &candle_core::Device::Cpu).unwrap()
    }

    #[test]
    fn penalties_are_those_of_the_definition() {
        let one = [0.5f32, 0.7, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.5, 0.5, 0.5];
        let both = preimage(2.0, 3.0).penalty(&images(&one, (1, 3, 2, 2))).unwrap();
        // red steps by 0.2 to the right and down again, blue by 0.4 to the right and below
        let (smooth, bound): (f64, f64) =
            (2.0 * 0.04 + 2.0 * 0.16, (0.04f64 / 0.75).powi(3) + (0.16f64 / 0.75).powi(3));
        assert_close(&values(&both), &[(2.0 * smooth / 4.0 + 3.0 * bound / 4.0) as f32], 1e-5, "penalty");
        let black = preimage(0.0, 1.0).penalty(&images(&[0.0; 12], (1, 3, 2, 2))).unwrap();
        assert_close(&values(&black), &[1.0], 1e-6, "black");
    }

    #[test]
    fn the_gradient_of_the_penalty_is_that_of_the_tape() {
        let mut rng = rng(3);
        for (tv, l6) in [(1.0, 0.0), (0.0, 1.0), (2.0, 0.5)] {
            for shape in [(1, 3, 5, 7), (2, 3, 1, 4), (2, 3, 6, 1), (1, 3, 1, 1)] {
                let preimage = preimage(tv, l6);
                let x = Var::from_tensor(&random(&mut rng, shape)).unwrap();
                let tape = preimage.penalty(x.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
                let tape = tape.get(&x).map_or_else(|| vec![0.0; x.elem_count()], values);
                let ours = values(&preimage.penalty_gradient(x.as_tensor()).unwrap());
                assert_close(&ours, &tape, 1e-4, &format!("{tv} {l6} {shape:?}"));
            }
        }
    }

    /// The whole objective's gradients are those of its value, by candle's tape.
    #[test]
    fn gradients_are_those_of_the_value() {
        #[derive(Debug)]
        struct OnTape(Preimage);
        impl Objective for OnTape {
            fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
                self.0.taps(job, model, input)
            }
            fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
                self.0.values(job, model, activations)
            }
            fn description(&self, model: &Model) -> String {
                self.0.description(model)
            }
        }
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let input =
            model.recipe().to_input(&photo("china").unwrap().resize(40, 30).unwrap().tensor().unwrap()).unwrap();
        let preimage = preimage(4.0, 2.0);
        let taps = preimage.taps(&job, &model, &input).unwrap();
        let rules = crate::model::Rules::default();
        let activations = model.run(&input, &taps, &rules, job.interrupt()).unwrap();
        let ours = preimage.gradients(&job, &model, &activations).unwrap();
        let tape = OnTape(preimage).gradients(&job, &model, &activations).unwrap();
        for (ours, tape) in ours.iter().zip(&tape) {
            let largest = values(tape).iter().fold(0f32, |most, value| most.max(value.abs()));
            for (ours, tape) in values(ours).iter().zip(values(tape)) {
                assert!((ours - tape).abs() < 1e-4 * largest, "{ours} instead of {tape}");
            }
        }
    }
}
