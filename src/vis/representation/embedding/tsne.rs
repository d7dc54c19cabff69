//! t-SNE.

use super::{Embedding, Made, MapOptions, Placing, Rows, interrupted};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::points::{Pca, Points, TsneOptions, tsne as fit};
use crate::tensor::Seed;
use crate::vis::representation::FeatureSpace;

/// A map in which neighbours stay neighbours (t-SNE). Distances between groups, and the sizes of groups, mean nothing in it.
///
/// The defaults are scikit-learn's: a start at the first principal components, exaggeration 12 for a quarter of the steps, Barnes–Hut
/// with θ = 0.5. Interrupted, it returns the map as it is.
///
/// ```rhai
/// tsne(gallery(), seed=1)
/// ```
///
/// ```rhai
/// tsne(digits(part="test").split(0.1)[0], space="pixels", perplexity=20, steps=300, seed=1)
/// ```
#[function(
    source = "van der Maaten and Hinton, Visualizing Data using t-SNE, 2008; van der Maaten, Accelerating t-SNE, 2014"
)]
pub fn tsne(
    job: &Job,
    /// Images, or a tensor [rows, columns].
    x: Rows,
    /// About how many neighbours a point has: 5 to 50, and at most a third of the points.
    #[default(30.0)]
    #[range(1.0..=10000.0)]
    perplexity: f64,
    /// How often all points are moved.
    #[default(1000)]
    #[range(1..=100000)]
    steps: usize,
    /// Points of more numbers are brought to so many principal components first.
    #[default(50)]
    #[range(2..=1000)]
    reduce: usize,
    #[options] options: &MapOptions,
    #[options] features: &FeatureSpace,
    #[options] seed: &Seed,
) -> Result<Embedding> {
    let (all, known) = x.points(job, options, features)?;
    let most = (all.rows().saturating_sub(1)) as f64 / 3.0;
    if perplexity > most {
        let message = format!("tsne: a perplexity of {perplexity} needs more than {} points", all.rows());
        let error = Error::new(Kind::Argument, message).at_argument("perplexity");
        return Err(error.with_hint(if most >= 1.0 {
            format!("perplexity={} at most, a third of the other points", most.floor())
        } else {
            "it takes at least 4 points".to_owned()
        }));
    }
    let seed = seed.get(job);
    let (reduced, reduction) = reduced(&all, reduce, seed)?;
    let wanted = TsneOptions {
        dimensions: options.dimensions,
        perplexity,
        iterations: steps,
        exaggerated: steps / 4,
        seed,
        ..TsneOptions::default()
    };
    let progress = job.progress("t-SNE", steps);
    let map = fit(&reduced, &wanted, &mut |_, _| {
        let _ = progress.advance(1);
        interrupted(job)
    })?;
    progress.end();
    let facts = format!(
        "perplexity {perplexity}, {} steps, divergence {:.3}{}",
        map.iterations,
        map.divergence,
        if map.iterations < steps && job.interrupt().is_raised() { ", interrupted" } else { "" }
    );
    let made = Made { method: "t-SNE", places: map.places, facts, old: reduced, reduction, placing: Placing::Tsne };
    Ok(Embedding::of_made(made, known))
}

/// Points by their first principal components if they have more numbers than that.
fn reduced(all: &Points, most: usize, seed: u64) -> Result<(Points, Option<Pca>)> {
    let most = most.min(all.rows());
    if all.columns() <= most {
        return Ok((all.clone(), None));
    }
    let pca = Pca::fit(all, most, seed)?;
    Ok((pca.place(all)?, Some(pca)))
}
