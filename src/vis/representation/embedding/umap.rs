//! UMAP.

use super::{Embedding, Made, MapOptions, Placing, Rows, interrupted};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::points::{Metric, UmapOptions, umap as fit};
use crate::tensor::Seed;
use crate::vis::representation::FeatureSpace;

/// A map whose graph of neighbours is like that of the points (UMAP). Groups keep a little more of their order than in t-SNE; distances
/// between far ones mean nothing here either.
///
/// The defaults are umap-learn's. Interrupted, it returns the map as it is.
///
/// ```rhai
/// umap(gallery(), seed=1)
/// ```
#[function(
    source = "McInnes, Healy and Melville, UMAP: Uniform Manifold Approximation and Projection, 2018, arXiv:1802.03426"
)]
pub fn umap(
    job: &Job,
    /// Images, or a tensor [rows, columns].
    x: Rows,
    /// The size of a neighbourhood, with the point itself.
    #[default(15)]
    #[range(2..=10000)]
    neighbors: usize,
    /// How near points of the map come to each other, 0 to 1.
    #[default(0.1)]
    #[range(0.0..=1.0)]
    min_dist: f64,
    /// How two points are compared: "l2", by the Euclidean distance, or "cosine", by the angle between their numbers.
    #[default("l2")]
    metric: Metric,
    #[options] options: &MapOptions,
    #[options] features: &FeatureSpace,
    #[options] seed: &Seed,
) -> Result<Embedding> {
    let (all, known) = x.points(job, options, features)?;
    if neighbors > all.rows() || all.rows() < 4 {
        let message = format!("umap: neighbourhoods of {neighbors} among {} points", all.rows());
        let error = Error::new(Kind::Argument, message).at_argument("neighbors");
        return Err(error.with_hint(format!("neighbors={} at most, and at least 4 points", all.rows())));
    }
    let wanted = UmapOptions {
        dimensions: options.dimensions,
        neighbors,
        min_dist,
        metric,
        seed: seed.get(job),
        ..UmapOptions::default()
    };
    let epochs = wanted.epochs.unwrap_or(if all.rows() <= 10_000 { 500 } else { 200 });
    let progress = job.progress("UMAP", epochs);
    let mut done = 0;
    let places = fit(&all, &wanted, &mut |epoch, _| {
        let _ = progress.advance(1);
        done = epoch;
        interrupted(job)
    })?;
    progress.end();
    let stopped = if job.interrupt().is_raised() { ", interrupted" } else { "" };
    let facts = format!("{neighbors} neighbors, min_dist {min_dist}, {done} epochs{stopped}");
    let made = Made { method: "UMAP", places, facts, old: all, reduction: None, placing: Placing::Umap(wanted) };
    Ok(Embedding::of_made(made, known))
}
