//! What may be wrong with a set of images.

use std::fmt;

use super::space::{FeatureSpace, Space, points};
use crate::data::{SetOrStore, Skipped};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Provenance, function, value_type};
use crate::model::Layer;
use crate::points::{Metric, Neighbors, nearest_others};

/// How many neighbours are asked for an image's label, and what share of them must agree on another.
const VOTERS: usize = 10;
const AGREED: f64 = 0.8;
/// What the distances of the three nearest images count in how far an image is from all others.
const WEIGHTS: [f64; 3] = [0.6, 0.3, 0.1];
/// An image is an outlier if it is so many times further from the others than usual scatter explains.
const SCATTER: f64 = 5.0;
/// So many findings of a kind are shown at most.
const MOST: usize = 12;

/// An image of the set.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its pixels.
    pub image: Image,
    /// Its name.
    pub name: String,
    /// Its class, if it has one.
    pub label: Option<String>,
}

/// What may be wrong with a set of images, the gravest first.
#[derive(Clone, Debug)]
pub struct Findings {
    /// How many images there are.
    pub images: usize,
    /// The layer by whose features they were compared.
    pub layer: Layer,
    /// Images that cannot be read.
    pub broken: Vec<Skipped>,
    /// Pairs that are almost the same, and how far they are from each other.
    pub duplicates: Vec<(Case, Case, f64)>,
    /// Images that are far from all others, and how many times as far as is usual.
    pub outliers: Vec<(Case, f64)>,
    /// Images whose neighbours have another class, that class, and the share of the neighbours that have it.
    pub mislabelled: Vec<(Case, String, f64)>,
    /// How many findings of each kind there are, of which the first are kept.
    pub counts: [usize; 3],
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Findings, "findings", "findings", "What may be wrong with a set of images.", provenance);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, layer, broken, duplicates, outliers, mislabelled, counts, .. } = self;
        let [pairs, far, labels] = counts;
        write!(f, "{images} images, compared by the features of {}", layer.label())?;
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(f, "\n{} file{} cannot be read", broken.len(), plural(broken.len()))?;
        for Skipped { name, why } in broken.iter().take(MOST) {
            write!(f, "\n  {name}: {why}")?;
        }
        write!(f, "\n{pairs} pair{} of near-duplicates", plural(*pairs))?;
        for (one, other, distance) in duplicates {
            write!(f, "\n  {} and {}: {distance:.4}", one.name, other.name)?;
        }
        write!(f, "\n{far} outlier{}", plural(*far))?;
        for (case, times) in outliers {
            write!(f, "\n  {}: {times:.1} times as far from its neighbours as is usual", case.name)?;
        }
        write!(f, "\n{labels} label{} that the neighbours contradict", plural(*labels))?;
        for (case, other, share) in mislabelled {
            let own = case.label.as_deref().unwrap_or_default();
            write!(f, "\n  {}: {own}, but {:.0} % of its neighbours are {other}", case.name, 100.0 * share)?;
        }
        Ok(())
    }
}

/// What may be wrong with a set of images, as a network sees them: files that cannot be read, pairs that are almost the same,
/// images that are far from all others, and labels that the neighbours contradict. These are cases to look at, not verdicts: a
/// network confuses what it has not learned to tell apart.
///
/// Images are compared by the mean of each channel of a layer. An outlier's distance from its three nearest neighbours (weighted 0.6,
/// 0.3 and 0.1) is more than five times the usual scatter (median absolute deviation) above the median; a label is doubted where at
/// least 80 % of the ten nearest have one other class.
///
/// ```rhai
/// doctor(gallery())
/// ```
#[function(source = "the weights are those of FiftyOne's uniqueness (Voxel51)")]
pub fn doctor(
    job: &Job,
    /// The images: a set, a store, or a list.
    images: &SetOrStore,
    /// Two images whose distance is below that are near-duplicates.
    #[default(0.02)]
    #[range(0.0..=2.0)]
    duplicates: f64,
    /// How two images are compared: "cosine", by the angle between their numbers, or "l2", by the Euclidean distance.
    #[default("cosine")]
    metric: Metric,
    #[options] features: &FeatureSpace,
) -> Result<Findings> {
    let layer = features.layer(job, Some(images))?;
    let store = images.at(job, &layer)?;
    let set = store.made_of()?.1;
    let count = set.entries().len();
    if count <= WEIGHTS.len() {
        let message = format!("doctor: {count} images are too few to compare: it takes {}", WEIGHTS.len() + 1);
        return Err(Error::new(Kind::Argument, message).at_argument("images"));
    }
    let all = points(job, images, Space::Features, &layer)?;
    let near = nearest_others(&all, VOTERS.min(count - 1), metric)?;
    let (pairs, far) = (duplicate_pairs(&near, duplicates), outliers(&near));
    let labels: Vec<Option<usize>> =
        set.entries().iter().map(|entry| entry.label.map(|label| label as usize)).collect();
    let doubted = contradicted(&near, &labels);
    let case = |index: usize| -> Result<Case> {
        let entry = set.entries().get(index);
        let entry = entry.ok_or_else(|| Error::new(Kind::Internal, "an image that is not in the set"))?;
        let label = set.class_of(entry).map(str::to_owned);
        Ok(Case { image: set.read(job, index)?, name: entry.name.to_string(), label })
    };
    let counts = [pairs.len(), far.len(), doubted.len()];
    let pairs = pairs.into_iter().take(MOST).map(|(a, b, distance)| Ok((case(a)?, case(b)?, distance)));
    let far = far.into_iter().take(MOST).map(|(index, times)| Ok((case(index)?, times)));
    let class = |label: usize| set.classes().get(label).cloned().unwrap_or_default();
    let doubted = doubted.into_iter().take(MOST).map(|(index, label, share)| Ok((case(index)?, class(label), share)));
    Ok(Findings {
        images: count,
        broken: store.skipped().to_vec(),
        duplicates: pairs.collect::<Result<_>>()?,
        outliers: far.collect::<Result<_>>()?,
        mislabelled: doubted.collect::<Result<_>>()?,
        counts,
        layer,
        provenance: None,
    })
}

/// Pairs of rows nearer to each other than a bound, the nearest first. A row has at most as many as it has neighbours.
fn duplicate_pairs(near: &Neighbors, bound: f64) -> Vec<(usize, usize, f64)> {
    let mut pairs = Vec::new();
    for row in 0..near.rows() {
        for (other, distance) in near.indices(row).iter().zip(near.distances(row)) {
            // a pair that the other row does not know is kept too
            let known = *other < row && near.indices(*other).contains(&row);
            if *distance < bound && !known {
                pairs.push((row.min(*other), row.max(*other), *distance));
            }
        }
    }
    pairs.sort_by(|a, b| a.2.total_cmp(&b.2).then((a.0, a.1).cmp(&(b.0, b.1))));
    pairs
}

/// Rows that are far from their neighbours, and how many times as far as the median row; the farthest first.
fn outliers(near: &Neighbors) -> Vec<(usize, f64)> {
    let distance = |row: usize| near.distances(row).iter().zip(WEIGHTS).map(|(d, weight)| d * weight).sum::<f64>();
    let distances: Vec<f64> = (0..near.rows()).map(distance).collect();
    let median = median(distances.clone());
    let scatter = self::median(distances.iter().map(|distance| (distance - median).abs()).collect());
    let mut far: Vec<(usize, f64)> = distances
        .iter()
        .enumerate()
        .filter(|(_, distance)| **distance > median + SCATTER * scatter)
        .map(|(row, distance)| (row, distance / median.max(f64::MIN_POSITIVE)))
        .collect();
    far.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    far
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(0.0);
    match values.len() % 2 {
        0 => (upper + values.get((values.len() / 2).wrapping_sub(1)).copied().unwrap_or(upper)) / 2.0,
        _ => upper,
    }
}

/// Rows whose neighbours agree on another label, that label and the share of the neighbours that have it.
fn contradicted(near: &Neighbors, labels: &[Option<usize>]) -> Vec<(usize, usize, f64)> {
    let mut doubted = Vec::new();
    for row in 0..near.rows() {
        let Some(own) = labels.get(row).copied().flatten() else { continue };
        let others: Vec<usize> = near.indices(row).iter().filter_map(|index| labels.get(*index).copied()?).collect();
        let votes = |label: usize| others.iter().filter(|other| **other == label).count();
        let Some(most) = others.iter().copied().max_by_key(|label| (votes(*label), std::cmp::Reverse(*label))) else {
            continue;
        };
        let share = votes(most) as f64 / near.k() as f64;
        if most != own && share >= AGREED {
            doubted.push((row, most, share));
        }
    }
    doubted.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    doubted
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::points::{Metric, Points};

    /// Two clusters on a line: the last of the first has the label of the second, two are almost one, and one is far away.
    #[test]
    fn duplicates_outliers_and_wrong_labels_are_found() {
        let mut values: Vec<f32> = (0..12).map(|i| i as f32 * 0.5).collect();
        values.extend((0..12).map(|i| 100.0 + i as f32 * 0.5));
        values.extend([103.01, 200.0]);
        let rows = values.len();
        let near = nearest_others(&Points::new(values, rows, 1).unwrap(), VOTERS, Metric::L2).unwrap();
        let mut labels: Vec<Option<usize>> = (0..rows).map(|row| Some(usize::from(row >= 12))).collect();
        labels[5] = Some(1);
        let pairs = duplicate_pairs(&near, 0.1);
        assert_eq!(pairs.iter().map(|pair| (pair.0, pair.1)).collect::<Vec<_>>(), [(18, 24)]);
        assert_eq!(outliers(&near).first().map(|far| far.0), Some(25));
        assert_eq!(contradicted(&near, &labels), [(5, 0, 1.0)]);
    }
}
