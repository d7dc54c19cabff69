//! Which method's maps are better, by several measures, images and settings, with how far these disagree.

use std::fmt;
use std::sync::Arc;

use super::measure::{Better, Measure};
use super::{deletion, insertion, mu_fidelity, road};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Provenance, Reject, Table, function, value_type};
use crate::model::Input;
use crate::plot::{Data, Plot};
use crate::vis::Explain;
use crate::vis::attribution::{Attribution, Baseline, Methods};

/// Names of the columns.
const COLUMNS: [&str; 7] = ["method", "deletion", "insertion", "MuFidelity", "ROAD", "mean rank", "best to worst rank"];
/// Deletion and insertion go by so many steps.
const STEPS: usize = 64;

/// An image, or several.
#[derive(Clone, Debug)]
pub struct Images(Vec<Input>);

impl FromValue for Images {
    const EXPECTED: &'static str = "an image or a list of images";
    const TYPES: &'static [&'static str] = &["image", "tensor", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Ok(one) = Input::from_value(value) {
            return Ok(Self(vec![one]));
        }
        let images = Vec::<Input>::from_value(value)?;
        if images.is_empty() { Err(Reject::Because("is an empty list".into(), None)) } else { Ok(Self(images)) }
    }
}

/// What several measures say about several methods.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// The methods.
    pub methods: Vec<String>,
    /// What each measure is called, and which numbers are good ones.
    pub measures: Vec<(&'static str, Better)>,
    /// For each method and measure, the numbers over images and settings.
    pub values: Vec<Vec<Vec<f64>>>,
    /// For each method, its ranks over measures, images and settings; 1 is best.
    pub ranks: Vec<Vec<f64>>,
    /// How many images were looked at.
    pub images: usize,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Ranking, "ranking", "a ranking of methods", "What several measures say about several methods.", provenance);

impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table())
    }
}

impl Ranking {
    /// A row for each method, the one with the best mean rank first: means ± standard deviations.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&COLUMNS);
        for method in self.order() {
            let spread = |values: &Vec<f64>| {
                let (mean, deviation) = mean_and_deviation(values);
                // one number has no spread
                let spread = if values.len() > 1 { format!(" ± {deviation:.3}") } else { String::new() };
                Dynamic::from(format!("{mean:.3}{spread}"))
            };
            let ranks = &self.ranks[method];
            let best = ranks.iter().copied().fold(f64::INFINITY, f64::min);
            let worst = ranks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut row = vec![Dynamic::from(self.methods[method].clone())];
            row.extend(self.values[method].iter().map(spread));
            row.push(spread(ranks));
            row.push(format!("{best} to {worst}").into());
            table.rows.push(row);
        }
        table
    }

    /// The mean ranks as bars, with the standard deviation over measures, images and settings.
    ///
    /// # Errors
    /// They cannot be drawn.
    pub fn plot(&self) -> Result<Plot> {
        let order = self.order();
        let spreads: Vec<(f64, f64)> = order.iter().map(|method| mean_and_deviation(&self.ranks[*method])).collect();
        let heights: Arc<[f64]> = spreads.iter().map(|(mean, _)| *mean).collect();
        let error: Arc<[f64]> = spreads.iter().map(|(_, deviation)| *deviation).collect();
        let mut plot = Plot::new(Data::Bars { heights, error: Some(error) })?
            .title("Which maps agree with the network")
            .axis_titles("", "mean rank (1 is best)");
        plot.x.names = Some(order.iter().map(|method| self.methods[*method].clone()).collect());
        let count = self.ranks.first().map_or(0, Vec::len);
        let images = if self.images == 1 { "one image".to_owned() } else { format!("{} images", self.images) };
        Ok(plot.caption(format!(
            "Over {count} rankings by {} measures, {images} and what stands for hidden pixels; marks show the standard \
             deviation. Bars whose marks overlap are not told apart.",
            self.measures.len()
        )))
    }

    /// The methods, best mean rank first.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.methods.len()).collect();
        let mean = |method: usize| mean_and_deviation(&self.ranks[method]).0;
        order.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)));
        order
    }
}

/// Ranks methods by deletion, insertion, MuFidelity and ROAD over images and over what stands for hidden pixels (zeros in the
/// network's input, a blurred image, its mean colour): means with their standard deviations, and how far the ranks reach.
///
/// One number would hide that measures disagree, and that each changes with its settings.
///
/// ```rhai
/// rank_methods(photo("chelsea"), methods=[saliency, grad_cam], samples=10, seed=1)
/// ```
#[function(source = "as for the measures; on how rankings change with settings: Meta-Rank, 2024, arXiv:2407.19471")]
pub fn rank_methods(
    job: &Job,
    /// An image, or a list of them.
    images: &Images,
    /// The methods: a list of their names or of functions of an image that return an attribution, or a map of names and
    /// methods.
    methods: &Methods,
    /// Random parts of MuFidelity.
    #[default(100)]
    #[range(2..=100000)]
    samples: usize,
    /// The seed of what is drawn; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    #[options] explain: &Explain,
) -> Result<Ranking> {
    if methods.len() < 2 {
        let error = Error::new(Kind::Argument, "rank_methods: `methods` is a list of two or more methods");
        return Err(error.with_hint("methods=[saliency, grad_cam]").at_argument("methods"));
    }
    let seed = job.seed(seed);
    let Images(images) = images;
    let mut ranking = Ranking {
        methods: methods.iter().map(ToString::to_string).collect(),
        measures: Vec::new(),
        values: vec![vec![Vec::new(); COLUMNS.len() - 3]; methods.len()],
        ranks: vec![Vec::new(); methods.len()],
        images: images.len(),
        provenance: None,
    };
    let progress = job.progress("ranking methods", images.len() * methods.len());
    for image in images {
        // for each measure and setting, what each method gets
        let mut rounds: Vec<(usize, Vec<Measure>)> = Vec::new();
        for method in methods.iter() {
            let attribution = method.attribution(job, image, explain)?;
            for (round, (column, measure)) in measured(job, &attribution, samples, seed)?.into_iter().enumerate() {
                match rounds.get_mut(round) {
                    Some((_, measures)) => measures.push(measure),
                    None => rounds.push((column, vec![measure])),
                }
            }
            progress.advance(1)?;
        }
        for (column, measures) in rounds {
            ranking.take(column, &measures);
        }
    }
    Ok(ranking)
}

/// All measures of an attribution under all settings, each with its column.
fn measured(job: &Job, attribution: &Attribution, samples: usize, seed: u64) -> Result<Vec<(usize, Measure)>> {
    let (_, _, height, width) = attribution.prediction.input.dims4()?;
    let step = (height * width).div_ceil(STEPS);
    let seed = Some(seed);
    let percentiles = vec![10.0, 30.0, 50.0, 70.0, 90.0];
    let mut measures = Vec::new();
    for baseline in [None, Some(Baseline::Blur), Some(Baseline::Mean)] {
        measures.push((0, deletion(job, attribution, step, baseline.clone())?));
        measures.push((2, mu_fidelity(job, attribution, 9.min(height.min(width)), 0.2, samples, baseline, seed)?));
    }
    measures.push((1, insertion(job, attribution, step)?));
    measures.push((3, road(job, attribution, percentiles, 0.01, seed)?));
    Ok(measures)
}

impl Ranking {
    /// Counts what one measure says about each method.
    fn take(&mut self, column: usize, measures: &[Measure]) {
        let Some(first) = measures.first() else { return };
        if !self.measures.iter().any(|(name, _)| *name == first.name) {
            self.measures.push((first.name, first.better));
        }
        let good = |measure: &Measure| if measure.better == Better::Lower { -measure.value } else { measure.value };
        for (method, measure) in measures.iter().enumerate() {
            self.values[method][column].push(measure.value);
            let better = measures.iter().filter(|other| good(other) > good(measure)).count();
            let equal = measures.iter().filter(|other| good(other) == good(measure)).count();
            // equals share their mean rank
            self.ranks[method].push(better as f64 + (equal as f64 + 1.0) / 2.0);
        }
    }
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// The table of a ranking.
///
/// ```rhai
/// rank_methods(photo("chelsea"), methods=[saliency, grad_cam], samples=10, seed=1).table.rows()[0].method
/// ```
#[function(property, name = "table")]
fn table_property(
    /// The ranking.
    ranking: &Ranking,
) -> Result<Table> {
    Ok(ranking.table())
}
