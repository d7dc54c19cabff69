//! Class sensitivity: whether the map for one class differs from those for others.

use super::again::map;
use super::correlation::spearman;
use super::measure::{Better, Measure};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;
use crate::vis::attribution::{Attribution, Method};
use crate::vis::objective::{ClassScore, Goal};

/// How alike the maps for other classes are to the map of the explained one: the mean rank correlation of magnitudes. Near 1
/// means that the map does not say why it is this class.
///
/// ```rhai
/// class_sensitivity(grad_cam, photo("chelsea"), others=2)
/// ```
#[function(
    source = "Sixt, Granz and Landgraf, When Explanations Lie, 2020, arXiv:1912.09818 (random logit); Li et al., 2020, arXiv:2001.10609"
)]
pub fn class_sensitivity(
    job: &Job,
    /// The method: the name of one, or another method such as `smooth(saliency)`.
    method: &Method,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// With how many other classes it is compared, the most probable ones first.
    #[default(5)]
    #[range(1..=1000)]
    others: usize,
    #[options] explain: &Explain,
) -> Result<Measure> {
    let clean = method.attribution(job, image, explain)?;
    let prediction = &clean.prediction;
    let Some(own) = prediction.class.as_ref().map(|class| class.class) else {
        let message = "class_sensitivity: the target is no class, so there are no other classes";
        return Err(Error::new(Kind::Argument, message).at_argument("target"));
    };
    let model = &prediction.model;
    let mut scored = model.answer().read(&model.forward(&prediction.input, job.interrupt())?)?;
    scored.retain(|other| other.class != own);
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
    if scored.is_empty() {
        return Err(Error::new(Kind::Argument, "class_sensitivity: the network has no other class"));
    }
    let magnitude =
        |attribution: &Attribution| -> Result<Vec<f64>> { Ok(map(attribution)?.into_iter().map(f64::abs).collect()) };
    let (all, reference) = (others.min(scored.len()), magnitude(&clean)?);
    let progress = job.progress("class sensitivity", all);
    let mut sum = 0.0;
    for other in scored.iter().take(all) {
        let goal = Goal::new(ClassScore::of(other.class));
        let explain = Explain { class: None, target: Some(goal), model: Some(model.clone()) };
        let attribution = method.attribution(job, &prediction.input.clone().into(), &explain)?;
        if attribution.prediction.class.as_ref().map(|class| class.class) != Some(other.class) {
            let message = format!("{method} explains another class than it was given");
            let hint =
                "give the method by its name, such as saliency: a function of the image alone chooses for itself";
            return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("method"));
        }
        sum += spearman(&magnitude(&attribution)?, &reference);
        progress.advance(1)?;
    }
    let meaning = "rank correlation with the maps of other classes";
    let name = format!("{method} for {}", prediction.target());
    let compared: Vec<&str> = scored.iter().take(all).map(|other| other.name.as_str()).collect();
    Ok(Measure::new("class sensitivity", name, sum / all as f64, Better::Lower, meaning)
        .noted(format!("Compared with {}", compared.join(", "))))
}
