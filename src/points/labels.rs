//! Classes of points.

use crate::error::{Error, Kind, Result};

/// The classes that occur, and which of them each point has.
pub(in crate::points) struct Labels {
    /// The classes in ascending order.
    pub(in crate::points) classes: Vec<usize>,
    /// For each point the place of its class among `classes`.
    pub(in crate::points) places: Vec<usize>,
    /// How many points each class has.
    pub(in crate::points) counts: Vec<usize>,
}

impl Labels {
    /// # Errors
    ///
    /// If there is not one label for each of the `rows` points.
    pub(in crate::points) fn new(labels: &[usize], rows: usize) -> Result<Self> {
        if labels.len() != rows {
            return Err(Error::new(Kind::Argument, format!("{} labels for {rows} points", labels.len())));
        }
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        // every label is among them
        let places: Vec<usize> = labels.iter().map(|label| classes.partition_point(|class| class < label)).collect();
        let mut counts = vec![0; classes.len()];
        places.iter().for_each(|place| counts[*place] += 1);
        Ok(Self { classes, places, counts })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_order_and_counted() {
        let labels = Labels::new(&[7, 2, 7, 9], 4).unwrap();
        assert_eq!((labels.classes, labels.places, labels.counts), (vec![2, 7, 9], vec![1, 0, 1, 2], vec![1, 2, 1]));
        assert_eq!(Labels::new(&[1], 2).err().unwrap().to_string(), "1 labels for 2 points");
    }
}
