//! Correlation of ranks.

/// Spearman's correlation of two lists of the same length, equals sharing their mean rank; 0 if one of them is constant.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    pearson(&ranks(a), &ranks(b))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for run in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let shared = start as f64 + (run.len() as f64 - 1.0) / 2.0;
        run.iter().for_each(|place| ranks[*place] = shared);
        start += run.len();
    }
    ranks
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        both += (a - mean_a) * (b - mean_b);
        of_a += (a - mean_a).powi(2);
        of_b += (b - mean_b).powi(2);
    }
    if of_a > 0.0 && of_b > 0.0 { both / (of_a.sqrt() * of_b.sqrt()) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_correlated_and_equals_share_theirs() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        assert!((spearman(&[1.0, 2.0, 3.0], &[10.0, 100.0, 101.0]) - 1.0).abs() < 1e-12);
        assert!((spearman(&[1.0, 2.0, 3.0], &[0.0, -5.0, -6.0]) + 1.0).abs() < 1e-12);
        // scipy.stats.spearmanr([1, 2, 2, 4, 5], [2, 1, 4, 4, 3])
        assert!(
            (spearman(&[1.0, 2.0, 2.0, 4.0, 5.0], &[2.0, 1.0, 4.0, 4.0, 3.0]) - 0.394_736_842_105_263_2).abs() < 1e-12
        );
        assert_eq!(spearman(&[1.0, 2.0], &[3.0, 3.0]), 0.0);
    }
}
