//! The cheapest cut through an overlap.

/// A path through a strip of `length` rows from its first to its last, whose column changes by at most 1 from row to
/// row, with the least sum of `costs` (row by row, `width` in each): its column in each row. Of equally cheap paths it
/// is the one furthest left at the end, and from there on back.
pub fn cheapest_path(costs: &[f32], width: usize) -> Vec<usize> {
    // the least sums of paths that end at each place
    let mut sums: Vec<Vec<f64>> = Vec::new();
    for row in costs.chunks_exact(width) {
        let next = match sums.last() {
            None => row.iter().map(|cost| f64::from(*cost)).collect(),
            Some(above) => {
                let from = |column: usize| above[best_near(above, column)];
                row.iter().enumerate().map(|(column, cost)| f64::from(*cost) + from(column)).collect()
            }
        };
        sums.push(next);
    }
    let mut path = vec![0; sums.len()];
    let mut below = None;
    for (place, sums) in path.iter_mut().zip(&sums).rev() {
        *place = match below {
            None => best(sums, 0..width),
            Some(column) => best_near(sums, column),
        };
        below = Some(*place);
    }
    path
}

/// The column beside `column`, or itself, with the least number.
fn best_near(numbers: &[f64], column: usize) -> usize {
    best(numbers, column.saturating_sub(1)..numbers.len().min(column + 2))
}

/// The first column with the least number.
fn best(numbers: &[f64], columns: std::ops::Range<usize>) -> usize {
    columns.min_by(|a, b| numbers[*a].total_cmp(&numbers[*b])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// All paths, each tried.
    fn least(costs: &[f32], width: usize, at: Option<usize>) -> f64 {
        let Some((row, rest)) = costs.split_at_checked(width).filter(|(row, _)| !row.is_empty()) else { return 0.0 };
        let columns = at.map_or(0..width, |at| at.saturating_sub(1)..width.min(at + 2));
        columns.map(|column| f64::from(row[column]) + least(rest, width, Some(column))).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn no_path_is_cheaper() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..400 {
            let (width, length) = (random.random_range(1..=5usize), random.random_range(1..=7usize));
            let costs: Vec<f32> = (0..width * length).map(|_| random.random_range(0..9) as f32).collect();
            let path = cheapest_path(&costs, width);
            assert_eq!(path.len(), length);
            assert!(path.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1), "{path:?}");
            let cost: f64 = path.iter().enumerate().map(|(row, at)| f64::from(costs[row * width + at])).sum();
            assert_eq!(cost, least(&costs, width, None), "{costs:?} {width}");
        }
    }

    #[test]
    fn a_valley_is_followed() {
        let costs = [9., 0., 9., 9., 9., 0., 9., 9., 9., 0., 9., 9., 9., 0., 9., 9.];
        assert_eq!(cheapest_path(&costs, 4), [1, 1, 1, 1]);
        assert_eq!(cheapest_path(&[0.0; 6], 3), [0, 0]);
        assert!(cheapest_path(&[], 3).is_empty());
    }
}
