//! Cutting lines and areas at the edges of a plot.

/// Left, bottom, right, top: 0 and 1 are the edges of the plot.
type Place = (f64, f64);

/// The parts of a line through `points` that lie within the unit square; NaN breaks it.
pub fn line(points: &[Place]) -> Vec<Vec<Place>> {
    let mut parts: Vec<Vec<Place>> = Vec::new();
    let mut open: Vec<Place> = Vec::new();
    for pair in points.windows(2) {
        let (Some(&from), Some(&to)) = (pair.first(), pair.last()) else { continue };
        match segment(from, to) {
            Some((start, end)) => {
                if open.last() != Some(&start) {
                    parts.push(std::mem::take(&mut open));
                    open.push(start);
                }
                open.push(end);
            }
            None => parts.push(std::mem::take(&mut open)),
        }
    }
    parts.push(open);
    // a number between two gaps is still to be seen
    for (index, point) in points.iter().enumerate() {
        let gap = |at: Option<usize>| at.and_then(|at| points.get(at)).is_none_or(|point| broken(*point));
        if inside(*point) && gap(index.checked_sub(1)) && gap(Some(index + 1)) {
            parts.push(vec![*point]);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn broken(point: Place) -> bool {
    point.0.is_nan() || point.1.is_nan()
}

/// Does a point lie in the unit square?
pub fn inside(point: Place) -> bool {
    [point.0, point.1].iter().all(|value| (-1e-9..=1.0 + 1e-9).contains(value))
}

/// The part of a segment in the unit square (Liang and Barsky 1984).
fn segment(from: Place, to: Place) -> Option<(Place, Place)> {
    if broken(from) || broken(to) {
        return None;
    }
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enters, mut leaves) = (0.0f64, 1.0f64);
    for (direction, distance) in [(-dx, from.0), (dx, 1.0 - from.0), (-dy, from.1), (dy, 1.0 - from.1)] {
        if direction == 0.0 {
            if distance < 0.0 {
                return None;
            }
        } else if direction < 0.0 {
            enters = enters.max(distance / direction);
        } else {
            leaves = leaves.min(distance / direction);
        }
    }
    let at = |t: f64| match t {
        0.0 => from,
        1.0 => to,
        t => (from.0 + t * dx, from.1 + t * dy),
    };
    (enters <= leaves).then(|| (at(enters), at(leaves)))
}

/// A line with at most four points in each of `columns` columns where it passes them in a row: the first, the lowest, the
/// highest and the last, between which no more is to be seen.
pub fn thinned(points: &[Place], columns: f64) -> Vec<Place> {
    let column = |point: &Place| (point.0 * columns).floor();
    let mut kept = Vec::new();
    for run in points.chunk_by(|a, b| column(a) == column(b)) {
        // what has a gap is kept whole
        let gap = run.iter().any(|point| broken(*point));
        if gap || run.len() <= 4 {
            kept.extend_from_slice(run);
            continue;
        }
        let heights = || run.iter().map(|point| point.1).enumerate();
        let lowest = heights().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index);
        let highest = heights().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index);
        let chosen = [0, lowest.min(highest), lowest.max(highest), run.len() - 1];
        kept.extend(chosen.iter().filter_map(|index| run.get(*index)));
    }
    kept
}

/// The part of a polygon in the unit square (Sutherland and Hodgman 1974).
pub fn polygon(points: &[Place]) -> Vec<Place> {
    let found: Vec<Place> = points.iter().copied().filter(|point| !broken(*point)).collect();
    let turned = |points: Vec<Place>| points.into_iter().map(|(x, y)| (y, x)).collect::<Vec<_>>();
    let found = half(&half(&found, 0.0, false), 1.0, true);
    turned(half(&half(&turned(found), 0.0, false), 1.0, true))
}

/// The part of a polygon on one side of a vertical line.
fn half(points: &[Place], bound: f64, left: bool) -> Vec<Place> {
    let inside = |(x, _): Place| if left { x <= bound } else { x >= bound };
    let mut kept = Vec::with_capacity(points.len());
    let Some(mut before) = points.last().copied() else { return kept };
    for &point in points {
        if inside(point) != inside(before) {
            let t = (bound - before.0) / (point.0 - before.0);
            kept.push((bound, before.1 + t * (point.1 - before.1)));
        }
        if inside(point) {
            kept.push(point);
        }
        before = point;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_edges() {
        assert_eq!(line(&[(-1.0, 0.5), (2.0, 0.5)]), [[(0.0, 0.5), (1.0, 0.5)]]);
        assert_eq!(line(&[(0.2, 0.2), (0.4, 0.2), (0.4, 0.9)]), [[(0.2, 0.2), (0.4, 0.2), (0.4, 0.9)]]);
        let twice = line(&[(0.25, 0.5), (0.25, 1.5), (0.75, 1.5), (0.75, 0.5)]);
        assert_eq!(twice, [[(0.25, 0.5), (0.25, 1.0)], [(0.75, 1.0), (0.75, 0.5)]]);
        assert!(line(&[(-1.0, -1.0), (-1.0, 2.0)]).is_empty() && line(&[]).is_empty());
    }

    #[test]
    fn a_gap_breaks_a_line_and_keeps_single_points() {
        let gap = (0.5, f64::NAN);
        let parts = line(&[(0.1, 0.1), (0.2, 0.1), gap, (0.6, 0.2), gap, (0.8, 0.3), (0.9, 0.3)]);
        assert_eq!(parts, [vec![(0.1, 0.1), (0.2, 0.1)], vec![(0.8, 0.3), (0.9, 0.3)], vec![(0.6, 0.2)]]);
        assert_eq!(line(&[(0.5, 0.5)]), [[(0.5, 0.5)]]);
    }

    #[test]
    fn thinning_keeps_what_is_seen() {
        let wave = |i: usize| (i as f64 / 1e5, (i as f64 * 0.37).sin() * (i as f64 / 1e5));
        let points: Vec<Place> = (0..=100_000).map(wave).collect();
        let kept = thinned(&points, 500.0);
        assert!(kept.len() <= 4 * 501 && kept.len() > 1900, "{}", kept.len());
        let highest = |points: &[Place], from: f64| {
            let within = points.iter().filter(|point| (from..from + 0.002).contains(&point.0));
            within.map(|point| point.1).fold(f64::MIN, f64::max)
        };
        for column in 0..500 {
            let from = f64::from(column) * 0.002;
            assert_eq!(highest(&kept, from - 1e-9), highest(&points, from - 1e-9), "column {column}");
        }
        let gap = [(0.0, 0.0), (0.1, f64::NAN), (0.2, 0.0)];
        assert_eq!(thinned(&gap, 1.0).len(), 3);
    }

    #[test]
    fn polygons_are_cut_at_the_edges() {
        let area = |points: &[Place]| {
            let next = points.iter().cycle().skip(1);
            points.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs() / 2.0
        };
        let square = |low: f64, high: f64| [(low, low), (high, low), (high, high), (low, high)];
        assert!((area(&polygon(&square(-1.0, 0.5))) - 0.25).abs() < 1e-12);
        assert!((area(&polygon(&square(-1.0, 3.0))) - 1.0).abs() < 1e-12);
        assert!(area(&polygon(&square(2.0, 3.0))) < 1e-12);
        // a diamond with corners beyond the square, each cut off
        let diamond = [(0.5, -0.25), (1.25, 0.5), (0.5, 1.25), (-0.25, 0.5)];
        assert!((area(&polygon(&diamond)) - (1.125 - 4.0 * 0.0625)).abs() < 1e-12);
    }
}
