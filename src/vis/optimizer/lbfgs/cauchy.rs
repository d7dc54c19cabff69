//! The first minimum of the model along the path of steepest descent that is bent at the bounds (Byrd, Lu, Nocedal and
//! Zhu, 1995, algorithm CP).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use nalgebra::DVector;

use super::bounds::Bounds;
use super::history::History;
use super::vector::dot;

/// The generalized Cauchy point.
#[derive(Clone, Debug)]
pub(super) struct Cauchy {
    pub(super) point: Vec<f64>,
    /// Wᵀ (point − start).
    pub(super) moved: DVector<f64>,
    /// Which numbers are not held by a bound.
    pub(super) free: Vec<bool>,
}

/// Where the path reaches a number's bound; the greatest is the one that comes first.
#[derive(Clone, Copy, Debug)]
struct Break {
    at: f64,
    place: usize,
}

impl Ord for Break {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Break {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Break {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Break {}

impl Cauchy {
    /// From a point inside the bounds, with the gradient there.
    pub(super) fn find(start: &[f64], gradient: &[f64], bounds: &Bounds, history: &History) -> Self {
        let mut direction = vec![0.0; start.len()];
        let mut free = vec![true; start.len()];
        let mut breaks = Vec::new();
        for (place, (value, slope)) in start.iter().zip(gradient).enumerate() {
            let (least, most) = bounds.at(place);
            let is_held = least >= most || (*value <= least && *slope >= 0.0) || (*value >= most && *slope <= 0.0);
            if is_held {
                free[place] = false;
                continue;
            }
            direction[place] = -slope;
            let at = match slope.partial_cmp(&0.0) {
                Some(Ordering::Less) => (value - most) / slope,
                Some(Ordering::Greater) => (value - least) / slope,
                _ => continue,
            };
            if at.is_finite() {
                breaks.push(Break { at, place });
            }
        }
        let mut breaks = BinaryHeap::from(breaks);

        let theta = history.theta;
        let mut along = history.along(&direction);
        let mut moved = DVector::zeros(along.len());
        let mut point = start.to_vec();
        let mut slope = -dot(&direction, &direction);
        if slope >= 0.0 {
            return Self { point, moved, free };
        }
        let mut curvature = -theta * slope - along.dot(&history.bent(&along));
        let least_curvature = f64::EPSILON * -theta * slope;
        let mut length = -slope / curvature.max(least_curvature);
        let mut gone = 0.0;
        // one stretch of the path after the other, as long as the model falls beyond its end
        while let Some(Break { at, place }) = breaks.peek().copied().filter(|next| length >= next.at - gone) {
            breaks.pop();
            let stretch = at - gone;
            gone = at;
            let (least, most) = bounds.at(place);
            let own = direction[place];
            point[place] = if own > 0.0 { most } else { least };
            free[place] = false;
            direction[place] = 0.0;
            let shift = point[place] - start[place];
            let row = history.row(place);
            moved.axpy(stretch, &along, 1.0);
            let bent = history.bent(&row);
            // own is minus the gradient
            slope += stretch * curvature + own * own - theta * own * shift + own * bent.dot(&moved);
            curvature += -theta * own * own + 2.0 * own * bent.dot(&along) - own * own * bent.dot(&row);
            along.axpy(-own, &row, 1.0);
            length = -slope / curvature.max(least_curvature);
        }
        let length = length.max(0.0);
        let whole = gone + length;
        for (place, (value, own)) in point.iter_mut().zip(&direction).enumerate() {
            if *own != 0.0 {
                let (least, most) = bounds.at(place);
                *value = (start[place] + whole * own).max(least).min(most);
            }
        }
        moved.axpy(length, &along, 1.0);
        Self { point, moved, free }
    }
}
