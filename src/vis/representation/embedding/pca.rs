//! Principal components.

use super::{Embedding, Made, MapOptions, Placing, Rows};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::points::Pca;
use crate::tensor::TensorValue;
use crate::vis::representation::FeatureSpace;

/// The map of points along the directions in which they differ most: their first principal components. What it shows of distances
/// is true, but it shows only a part of the differences; how much is said.
///
/// ```rhai
/// pca(gallery())
/// ```
///
/// ```rhai
/// pca(randn([100, 8], seed=1), dimensions=3).explained
/// ```
#[function(source = "Pearson, On lines and planes of closest fit to systems of points in space, 1901")]
pub fn pca(
    job: &Job,
    /// Images, or a tensor [rows, columns].
    x: Rows,
    #[options] options: &MapOptions,
    #[options] features: &FeatureSpace,
) -> Result<Embedding> {
    let (all, known) = x.points(job, options, features)?;
    let dimensions = options.dimensions;
    if all.rows() < 2 || all.columns() < dimensions {
        let message =
            format!("pca: {} points of {} numbers have no {dimensions} components", all.rows(), all.columns());
        return Err(Error::new(Kind::Argument, message).at_argument("x"));
    }
    let pca = Pca::fit(&all, dimensions, 0)?;
    let shares: Vec<String> = pca.ratios().iter().map(|ratio| format!("{:.1} %", 100.0 * ratio)).collect();
    let total: f64 = pca.ratios().iter().sum();
    let facts = format!("{} of the variance, {:.1} % in all", shares.join(" and "), 100.0 * total);
    let places = pca.place(&all)?;
    let made = Made { method: "PCA", places, facts, old: all, reduction: None, placing: Placing::Pca(pca) };
    Ok(Embedding::of_made(made, known))
}

/// The share of the variance that each axis of a PCA explains, 0 to 1; nothing for other maps.
///
/// ```rhai
/// pca(gallery()).explained
/// ```
#[function(property)]
fn explained(
    /// The embedding.
    embedding: &Embedding,
) -> Result<Option<Vec<f64>>> {
    Ok(match &*embedding.placing {
        Placing::Pca(pca) => Some(pca.ratios().to_vec()),
        _ => None,
    })
}

/// The directions of the axes of a PCA, a tensor [axes, columns]; nothing for other maps.
///
/// ```rhai
/// pca(randn([100, 8], seed=1)).components.shape
/// ```
#[function(property)]
fn components(
    /// The embedding.
    embedding: &Embedding,
) -> Result<Option<TensorValue>> {
    let Placing::Pca(pca) = &*embedding.placing else { return Ok(None) };
    let numbers = pca.components().iter().map(|value| *value as f32).collect();
    let shape = [pca.count(), pca.mean().len()];
    TensorValue::from_values(numbers, &shape).map(Some)
}
