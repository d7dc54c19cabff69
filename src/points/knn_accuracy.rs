//! How often a point's nearest neighbours tell its class.

use super::labels::Labels;
use super::metric::Metric;
use super::neighbors::{Neighbors, nearest_others};
use super::rows::Points;
use crate::error::{Error, Kind, Result};

/// The share of points whose class their neighbours tell.
#[derive(Clone, Debug, PartialEq)]
pub struct KnnAccuracy {
    /// Of all points, from 0 to 1.
    pub overall: f64,
    /// Of the points of each class, in the order of the classes.
    pub classes: Vec<ClassAccuracy>,
    /// For each point the class that its neighbours tell.
    pub predictions: Vec<usize>,
}

/// The accuracy for the points of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassAccuracy {
    /// The class.
    pub class: usize,
    /// How many points have it.
    pub count: usize,
    /// The share of them whose class is told, from 0 to 1.
    pub accuracy: f64,
}

/// The leave-one-out accuracy of a k-nearest-neighbour classifier: each point is given the class that most of the `k`
/// other points nearest to it have. Of classes with equally many votes, that of the nearest of their neighbours wins.
///
/// `labels` has a class for each point, any numbers. With one class the accuracy is 1.
///
/// # Errors
///
/// If there is not one label for each point, or `k` is 0 or not below the number of points.
pub fn knn_accuracy(points: &Points, labels: &[usize], k: usize, metric: Metric) -> Result<KnnAccuracy> {
    Labels::new(labels, points.rows())?;
    vote(&nearest_others(points, k, metric)?, labels)
}

/// The same from neighbours that are known, which are indices of points with these labels.
///
/// # Errors
///
/// If there is not one label for each of the points whose neighbours these are, and at least one.
pub fn vote(neighbors: &Neighbors, labels: &[usize]) -> Result<KnnAccuracy> {
    let Labels { classes, places, counts } = Labels::new(labels, neighbors.rows())?;
    if neighbors.largest_index().is_none_or(|index| index >= labels.len()) {
        return Err(Error::new(
            Kind::Argument,
            format!("neighbours that are not among {} labelled points tell no class", labels.len()),
        ));
    }
    let mut votes = vec![0usize; classes.len()];
    let mut right = vec![0usize; classes.len()];
    let mut predictions = Vec::with_capacity(labels.len());
    for (row, place) in places.iter().enumerate() {
        let near = || neighbors.indices(row).iter().map(|index| places[*index]);
        near().for_each(|class| votes[class] += 1);
        let most = near().map(|class| votes[class]).max();
        let winner = near().find(|class| Some(votes[*class]) == most).unwrap_or(*place);
        near().for_each(|class| votes[class] = 0);
        predictions.push(classes[winner]);
        right[*place] += usize::from(winner == *place);
    }
    let overall = right.iter().sum::<usize>() as f64 / labels.len() as f64;
    let class = |place: usize| ClassAccuracy {
        class: classes[place],
        count: counts[place],
        accuracy: right[place] as f64 / counts[place] as f64,
    };
    Ok(KnnAccuracy { overall, classes: (0..classes.len()).map(class).collect(), predictions })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::points::neighbors::nearest;
    use crate::points::rows::tests::grouped;

    fn line(values: &[f32]) -> Points {
        Points::new(values.to_vec(), values.len(), 1).unwrap()
    }

    #[test]
    fn the_majority_tells_the_class_and_of_equals_the_nearest() {
        let points = line(&[0.0, 1.0, 2.0, 10.0, 11.0, 12.5]);
        let labels = [4, 4, 9, 9, 9, 4];
        let found = knn_accuracy(&points, &labels, 1, Metric::L2).unwrap();
        // each one's nearest: 1, 0, 1, 4, 3, 4
        assert_eq!(found.predictions, [4, 4, 4, 9, 9, 9]);
        assert_eq!(found.overall, 4.0 / 6.0);
        let two_thirds = |class| ClassAccuracy { class, count: 3, accuracy: 2.0 / 3.0 };
        assert_eq!(found.classes, [two_thirds(4), two_thirds(9)]);
        // 0 has 1 and 2 as neighbours, of different classes, and 1 is nearer
        let found = knn_accuracy(&points, &labels, 2, Metric::L2).unwrap();
        assert_eq!(found.predictions[0], 4);
        // three of the five others are of the other class
        let found = knn_accuracy(&points, &labels, 5, Metric::L2).unwrap();
        assert_eq!(found.predictions, [9, 9, 4, 4, 4, 9]);
        assert_eq!(found.overall, 0.0);
    }

    #[test]
    fn groups_that_are_apart_are_told_and_one_class_always() {
        let (points, labels) = grouped(8, 200, 30, 4);
        assert_eq!(knn_accuracy(&points, &labels, 5, Metric::L2).unwrap().overall, 1.0);
        assert_eq!(knn_accuracy(&points, &[3; 200], 5, Metric::Cosine).unwrap().overall, 1.0);
    }

    #[test]
    fn labels_must_fit() {
        let points = line(&[0.0, 1.0]);
        let message = |labels: &[usize], k| knn_accuracy(&points, labels, k, Metric::L2).unwrap_err().to_string();
        assert_eq!(message(&[1, 2, 3], 1), "3 labels for 2 points");
        assert_eq!(message(&[1, 2], 2), "k is 2; these points allow 1 to 1 neighbours");
        let of_others = nearest(&line(&[0.0, 1.0, 2.0]), &line(&[2.0]), 1, Metric::L2).unwrap();
        let message = vote(&of_others, &[1]).unwrap_err().to_string();
        assert_eq!(message, "neighbours that are not among 1 labelled points tell no class");
    }
}
