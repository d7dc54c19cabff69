//! How far an image's texture is from another image's: their Gram matrices.

use candle_core::{D, Tensor};

use super::reference::{Reference, Size};
use super::{Goal, Objective, only};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;
use crate::model::{LayerName, Model, NodeId};
use crate::tensor::matmul;

/// Σ (G − G₀)² / (4 N²) for the Gram matrices G = F Fᵀ / M of a layer's N channels over M places, and of another image
/// at its own size.
#[derive(Clone, Debug)]
pub struct Gram(Reference);

impl Gram {
    /// To an image, in a layer; without one, in the network's last that has places.
    pub fn new(image: Image, layer: Option<LayerName>) -> Self {
        Self(Reference::new(image, layer))
    }

    /// The channels of each image as rows `[N, C, M]`, and what their Gram matrices differ by `[N, C, C]`.
    fn difference(&self, activations: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let rows = rows(only(activations)?)?;
        let other = gram_matrix(&rows_of(&self.0)?)?;
        let difference = gram_matrix(&rows)?.broadcast_sub(&other)?;
        Ok((rows, difference))
    }
}

fn rows(activations: &Tensor) -> Result<Tensor> {
    Ok(if activations.rank() == 2 { activations.unsqueeze(2)? } else { activations.flatten_from(2)? })
}

fn rows_of(reference: &Reference) -> Result<Tensor> {
    rows(&reference.activations()?)
}

/// F Fᵀ / M for F `[N, C, M]`: `[N, C, C]`, how often two channels are active together.
///
/// # Errors
/// The tensor has another shape.
pub fn gram_matrix(rows: &Tensor) -> Result<Tensor> {
    let places = rows.dim(D::Minus1)?.max(1);
    Ok((matmul(rows, &rows.transpose(1, 2)?)? / places as f64)?)
}

impl Objective for Gram {
    fn model(&self) -> Option<&Model> {
        self.0.model()
    }

    fn taps(&self, job: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        self.0.look(job, model, Size::Own)?;
        Ok(vec![self.0.layer(model)?.id()])
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let (rows, difference) = self.difference(activations)?;
        let channels = rows.dim(1)? as f64;
        Ok((difference.sqr()?.flatten_from(1)?.sum(1)? / (4.0 * channels * channels))?)
    }

    /// (G − G₀) F / (N² M): both matrices are symmetric.
    fn gradients(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        let (rows, difference) = self.difference(activations)?;
        let (_, channels, places) = rows.dims3()?;
        let factor = 1.0 / (channels as f64 * channels as f64 * places as f64);
        Ok(vec![(matmul(&difference, &rows)? * factor)?.reshape(only(activations)?.shape())?])
    }

    fn description(&self, model: &Model) -> String {
        format!("distance of textures in {}", self.0.label(model))
    }
}

/// How far an image's texture is from another image's, as an objective: Σ (G − G₀)² / (4 N²) of the Gram matrices of a
/// layer's N channels, which say what is active together and not where. It is 0 for the other image itself; to come near
/// it, subtract it.
///
/// ```rhai
/// visualize(-1.0 * gram("fire2", photo("gravel")), size=64, steps=4, transforms="none")
/// ```
#[function(source = "Gatys, Ecker and Bethge, Texture Synthesis Using Convolutional Neural Networks, 2015")]
pub fn gram(
    /// The layer.
    layer: LayerName,
    /// The other image, looked at in its own size.
    image: Image,
) -> Result<Goal> {
    Ok(Goal::new(Gram::new(image, Some(layer))))
}
