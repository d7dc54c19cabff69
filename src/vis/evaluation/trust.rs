//! Several measures of one attribution, in one small report.

use std::fmt;

use super::measure::{Measure, named};
use super::{
    Mask, average_drop, complexity, deletion, infidelity, insertion, mu_fidelity, pointing_game, relevance_mass,
    relevance_rank, road, sparseness,
};
use crate::error::Result;
use crate::job::Job;
use crate::lang::{Provenance, Table, function, value_type};
use crate::vis::attribution::Attribution;

/// What several measures say about one attribution.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Whose they are: "Grad-CAM for \"koala\"".
    pub of: String,
    /// The measures.
    pub measures: Vec<Measure>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Trust, "trust", "a trust report", "What several measures say about one attribution.", provenance);

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.of, self.table())
    }
}

impl Trust {
    /// A row for each measure.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&["measure", "value", "better", "what it is"]);
        table.rows = self
            .measures
            .iter()
            .map(|measure| {
                let better = measure.better.words().trim_end_matches(" is better");
                vec![measure.name.into(), format!("{:.4}", measure.value).into(), better.into(), measure.meaning.into()]
            })
            .collect();
        table
    }

    /// In one line: "deletion 0.1234 (lower is better), …".
    pub fn line(&self) -> String {
        let word = |measure: &Measure| match measure.better.words() {
            "" => format!("{} {:.3}", measure.name, measure.value),
            better => format!("{} {:.3} ({better})", measure.name, measure.value),
        };
        self.measures.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

/// Is the map to be trusted? Deletion, insertion, MuFidelity, ROAD, average drop, infidelity, sparseness and complexity of an
/// attribution in one report; with a mask of the thing also pointing game, relevance mass and rank.
///
/// No number alone says that a map is right: they hang on what stands for hidden pixels, and disagree. Compare maps of the
/// same image by the same settings; `randomisation` tells whether a method looks at what the network learned.
///
/// ```rhai
/// trust(grad_cam(photo("chelsea")), step=2500, samples=20, seed=1)
/// ```
#[function(source = "as for the measures")]
pub fn trust(
    job: &Job,
    /// The attribution.
    attribution: &Attribution,
    /// Where the thing is, if that is known: a tensor [height, width] with numbers above 0.5 there, a cut-out, or a black and
    /// white image.
    #[default]
    mask: Option<Mask>,
    /// Pixels that are deleted or inserted at a time.
    #[default(224)]
    #[range(1..)]
    step: usize,
    /// Random parts of MuFidelity, and samples of noise of infidelity.
    #[default(200)]
    #[range(2..=100000)]
    samples: usize,
    /// The seed of what is drawn; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
) -> Result<Trust> {
    let seed = Some(job.seed(seed));
    let percentiles = (1..10).map(|tenth| f64::from(tenth) * 10.0).collect();
    let mut measures = vec![
        deletion(job, attribution, step, None)?,
        insertion(job, attribution, step)?,
        mu_fidelity(job, attribution, 9, 0.2, samples, None, seed)?,
        road(job, attribution, percentiles, 0.01, seed)?,
        average_drop(job, &attribution.clone().into())?,
        infidelity(job, attribution, samples, 0.05, true, seed)?,
        sparseness(attribution)?,
        complexity(attribution)?,
    ];
    if let Some(mask) = &mask {
        measures.push(pointing_game(attribution, mask, 15)?);
        measures.push(relevance_mass(attribution, mask)?);
        measures.push(relevance_rank(attribution, mask)?);
    }
    Ok(Trust { of: named(attribution), measures, provenance: None })
}

/// The measures of a report, a list.
///
/// ```rhai
/// trust(grad_cam(photo("chelsea")), step=5000, samples=10, seed=1).measures[0].value
/// ```
#[function(property)]
fn measures(
    /// The report.
    trust: &Trust,
) -> Result<Vec<Measure>> {
    Ok(trust.measures.clone())
}

/// An attribution with a report in its figure's caption.
///
/// ```rhai
/// let map = grad_cam(photo("chelsea"));
/// map.with_trust(trust(map, step=5000, samples=10, seed=1))
/// ```
#[function]
fn with_trust(
    /// The attribution.
    attribution: &Attribution,
    /// The report about it.
    trust: &Trust,
) -> Result<Attribution> {
    let line = format!("Can it be trusted? {}.", trust.line());
    let note = attribution.note.as_ref().map_or_else(|| line.clone(), |note| format!("{note} {line}"));
    Ok(attribution.clone().noted(note))
}
