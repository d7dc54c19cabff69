//! Histograms.

use super::{Data, Legend, Plot, Scales, Titles, Values};
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject, function};
use crate::tensor::TensorValue;

/// No histogram has more bins.
const MOST_BINS: usize = 10_000;

/// How numbers are sorted into bins.
#[derive(Clone, Debug, PartialEq)]
pub enum Bins {
    /// So many of equal width, from the least number to the greatest.
    Count(usize),
    /// From each edge to the next; the last bin contains its upper edge.
    Edges(Vec<f64>),
}

impl FromValue for Bins {
    const EXPECTED: &'static str = "an integer or a list of edges";
    const TYPES: &'static [&'static str] = &["integer", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Ok(count) = value.as_int() {
            return match usize::try_from(count) {
                Ok(count) if (1..=MOST_BINS).contains(&count) => Ok(Self::Count(count)),
                _ => Err(Reject::Because(format!("must be from 1 to {MOST_BINS}, not {count}"), None)),
            };
        }
        let edges = Vec::<f64>::from_value(value)?;
        if edges.len() < 2 || edges.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Reject::Because("must be at least two edges, each above the one before".into(), None));
        }
        Ok(Self::Edges(edges))
    }
}

/// Numbers of which only the distribution matters: a list, or a tensor of any shape.
#[derive(Clone, Debug)]
pub struct Sample(pub Vec<f64>);

impl FromValue for Sample {
    const EXPECTED: &'static str = "a list of numbers or a tensor";
    const TYPES: &'static [&'static str] = &["list", "tensor"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(tensor) = value.read_lock::<TensorValue>() {
            let values = tensor.values().map_err(|error| Reject::Because(error.to_string(), None))?;
            return Ok(Self(values.into_iter().map(f64::from).collect()));
        }
        super::Numbers::from_value(value).map(|super::Numbers(values)| Self(values.to_vec()))
    }
}

/// Plots how numbers are distributed: how many of them lie in each bin.
///
/// Without `bins` there are as many as NumPy's "auto" makes: by Freedman and Diaconis, or by Sturges if those are more.
///
/// ```rhai
/// histogram(layer("conv1").weights(), x_label="weight")
/// ```
#[function]
pub fn histogram(
    /// The numbers: a list, or a tensor of any shape.
    values: Sample,
    /// How many bins of equal width, or the list of their edges.
    #[default]
    bins: Option<Bins>,
    #[options] legend: &Legend,
    #[options] titles: &Titles,
    #[options] scales: &Scales,
) -> Result<Plot> {
    let Sample(values) = values;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let bad = values.iter().filter(|value| !value.is_finite()).count();
        let message = format!("{bad} of {} values are NaN or infinite; the first is {}", values.len(), values[index]);
        return Err(Error::new(Kind::Argument, message).at_argument("values"));
    }
    if values.is_empty() {
        return Err(Error::new(Kind::Argument, "`values` has no numbers").at_argument("values"));
    }
    let edges = match bins {
        Some(Bins::Edges(edges)) => edges,
        Some(Bins::Count(count)) => even_edges(&values, count),
        None => even_edges(&values, automatic(&values)),
    };
    let mut plot = Plot::new(Data::Histogram { counts: count(&values, &edges), edges: edges.into() })?;
    plot.y.title = Some("count".into());
    plot.named(legend)?.titled(titles).scaled(scales)
}

fn ends(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// `count` bins from the least number to the greatest; half a unit around a single one, as NumPy has it.
fn even_edges(values: &[f64], count: usize) -> Vec<f64> {
    let (low, high) = match ends(values) {
        (low, high) if low == high => (low - 0.5, high + 0.5),
        ends => ends,
    };
    let edges: Vec<f64> = (0..=count).map(|i| low + (high - low) * i as f64 / count as f64).collect();
    // where doubles are too coarse for so many bins, fewer edges differ
    if edges.windows(2).all(|pair| pair[0] < pair[1]) { edges } else { vec![low, high.max(low.next_up())] }
}

/// The number of bins of NumPy's "auto".
fn automatic(values: &[f64]) -> usize {
    let (low, high) = ends(values);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let at = q * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        below + (above - below) * at.fract()
    };
    let n = values.len() as f64;
    let sturges = (high - low) / (n.log2() + 1.0);
    let freedman_diaconis = 2.0 * (quantile(0.75) - quantile(0.25)) / n.cbrt();
    let width = if freedman_diaconis > 0.0 { freedman_diaconis.min(sturges) } else { sturges };
    if width > 0.0 { (((high - low) / width).ceil() as usize).clamp(1, MOST_BINS) } else { 1 }
}

fn count(values: &[f64], edges: &[f64]) -> Values {
    let mut counts = vec![0.0; edges.len().saturating_sub(1)];
    for value in values {
        // the first edge above it ends its bin; the last bin contains its upper edge
        let above = edges.partition_point(|edge| edge <= value);
        let bin = if edges.last() == Some(value) { counts.len() } else { above };
        if let Some(count) = bin.checked_sub(1).and_then(|bin| counts.get_mut(bin)) {
            *count += 1.0;
        }
    }
    counts.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy.histogram(v, bins) of the values below: tools/golden/plots.py.
    #[test]
    fn counts_are_those_of_numpy() {
        let values: Vec<f64> = (0..200).map(|i| (f64::from(i) * 0.37).sin() * 3.0 + f64::from(i % 7)).collect();
        let counts = |bins: usize| count(&values, &even_edges(&values, bins)).to_vec();
        assert_eq!(counts(5), GOLDEN_5);
        assert_eq!(automatic(&values), GOLDEN_AUTO.len());
        assert_eq!(counts(GOLDEN_AUTO.len()), GOLDEN_AUTO);
        let edges = [-3.0, 0.0, 1.0, 4.0, 9.0];
        assert_eq!(count(&values, &edges).to_vec(), GOLDEN_EDGES);
    }

    const GOLDEN_5: [f64; 5] = [28.0, 41.0, 62.0, 43.0, 26.0];
    const GOLDEN_AUTO: [f64; 9] = [14.0, 16.0, 19.0, 36.0, 34.0, 28.0, 23.0, 17.0, 13.0];
    const GOLDEN_EDGES: [f64; 4] = [31.0, 18.0, 76.0, 75.0];

    #[test]
    fn one_number_has_a_bin_around_it() {
        assert_eq!(even_edges(&[2.0, 2.0], 2), [1.5, 2.0, 2.5]);
        assert_eq!(automatic(&[2.0, 2.0]), 1);
        assert_eq!(count(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]).to_vec(), [1.0, 2.0]);
    }

    #[test]
    fn edges_rise_even_where_doubles_are_coarse() {
        let edges = even_edges(&[1e16, 1e16 + 2.0], 50);
        assert!(edges.windows(2).all(|pair| pair[0] < pair[1]) && edges.len() >= 2);
    }
}
