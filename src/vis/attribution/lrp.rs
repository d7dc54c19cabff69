//! Layer-wise relevance propagation: the score is handed back from layer to layer, down to the pixels.

use super::relevance::{Composite, Flow};
use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::{IntoValue, Table, function};
use crate::model::Input;
use crate::vis::Explain;

/// What part of the score may get lost or come up on the way before it is said.
const TOLERATED: f64 = 0.05;

/// How much of the score each pixel contributes, by layer-wise relevance propagation: the score is handed back from layer
/// to layer, and every unit shares out what it got among what it read, by how much each has contributed. The composite
/// says by which rule each layer does that; batch-norms count as part of the convolution before them. What biases and
/// stabilizers keep on the way is stated; `lrp_layers` says where.
///
/// ```rhai
/// lrp(photo("chelsea"))
/// ```
///
/// ```rhai
/// lrp(photo("chelsea"), composite=#{conv: "gamma 0.25", dense: "epsilon 1e-6", first: "box"})
/// ```
#[function(
    source = "Bach et al., 2015, doi:10.1371/journal.pone.0130140; Montavon et al., Layer-Wise Relevance Propagation: An \
              Overview, 2019; composites of zennit, Anders et al., 2021, arXiv:2106.13200"
)]
pub fn lrp(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// Which rule each layer has: "EpsilonPlus", "EpsilonPlusFlat", "EpsilonGammaBox", "EpsilonAlpha2Beta1",
    /// "EpsilonAlpha2Beta1Flat", or a map of rules with `conv` and `dense`, `first` for the layers that read the image, or
    /// names of layers: "0", "epsilon 1e-6", "gamma 0.25", "alpha-beta 2" (beta is one less), "z+", "box", "flat", "w2".
    #[default("EpsilonPlusFlat")]
    composite: Composite,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let (prediction, flow) = Flow::of(job, image, &composite, explain)?;
    let error = flow.arrived - f64::from(prediction.score);
    let unit = format!("part of the {}", prediction.score_name());
    let values = flow.relevance.squeeze(0)?;
    let attribution = Attribution::new("relevance propagation", &prediction, values, Sign::Signed, unit);
    let attribution = attribution.with_completeness_error(error);
    let share = error / f64::from(prediction.score.abs()).max(f64::MIN_POSITIVE);
    if share.abs() <= TOLERATED {
        return Ok(attribution);
    }
    let all = format!("{:.0} % of the score", 100.0 * share.abs());
    let fate =
        if (error < 0.0) == (prediction.score > 0.0) { "does not arrive at the image" } else { "comes up on the way" };
    let most = flow.steps.iter().max_by(|a, b| a.change().abs().total_cmp(&b.change().abs()));
    let place = most.map_or_else(String::new, |step| format!(", most at {} (rule {})", step.layer, step.rule));
    Ok(attribution.noted(format!("{all} {fate}{place}; lrp_layers shows where.")))
}

/// What happens to the score on its way back through each layer in `lrp`, from the output to the image: the relevance that
/// arrives, what is passed on to the layers below, and how much that is more or less, in percent of the score. Where a
/// layer's bias or stabilizer keeps more than 5 %, or adds it, a word says so.
///
/// ```rhai
/// lrp_layers(photo("chelsea"))
/// ```
#[function(source = "as for `lrp`")]
pub fn lrp_layers(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    image: &Input,
    /// Which rule each layer has, as for `lrp`.
    #[default("EpsilonPlusFlat")]
    composite: Composite,
    #[options] explain: &Explain,
) -> Result<Table> {
    let (prediction, flow) = Flow::of(job, image, &composite, explain)?;
    let score = f64::from(prediction.score);
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let mut table = Table::new(&["layer", "operation", "rule", "arrives", "passes_on", "change_percent", "remark"]);
    for step in &flow.steps {
        let percent = 100.0 * step.change() / score.abs().max(f64::MIN_POSITIVE);
        let remark = match percent * score.signum() {
            lost if lost < -100.0 * TOLERATED => "loses relevance",
            gained if gained > 100.0 * TOLERATED => "adds relevance",
            _ => "",
        };
        table.rows.push(vec![
            step.layer.clone().into_value(),
            step.operation.clone().into_value(),
            step.rule.clone().into_value(),
            rounded(step.arrives).into_value(),
            rounded(step.passes_on).into_value(),
            ((percent * 100.0).round() / 100.0).into_value(),
            remark.to_owned().into_value(),
        ]);
    }
    let percent = 100.0 * (flow.arrived - score) / score.abs().max(f64::MIN_POSITIVE);
    table.rows.push(vec![
        "image".to_owned().into_value(),
        String::new().into_value(),
        String::new().into_value(),
        rounded(flow.arrived).into_value(),
        rounded(flow.arrived).into_value(),
        ((percent * 100.0).round() / 100.0).into_value(),
        format!("of {score:.4}").into_value(),
    ]);
    Ok(table)
}
