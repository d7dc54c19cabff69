//! The code of notebooks/rust-evcxr.ipynb, cell by cell, so that it is compiled and run with the tests: a test
//! (tests/methods.rs) keeps both alike. What a cell ends in, the notebook shows by `evcxr_display`.
#![allow(clippy::default_trait_access, reason = "as one writes it in a notebook")]

use percept::vis::attribution::{Attribution, saliency};
use percept::vis::synthesis::{DreamOptions, dream};
use percept::vis::{Classification, Explain, classify};
use percept::{Image, Job, Model, Plot, Tensor};

/// All cells, one after the other.
///
/// # Errors
/// A method fails.
pub fn main() -> percept::error::Result<()> {
    let model = Model::embedded()?;
    model.evcxr_display();

    let photo: Image = percept::image::photo("chelsea")?;
    photo.evcxr_display();

    let answer: Classification = classify(&Job::detached(), &photo, 5, &model.clone().into())?;
    answer.evcxr_display();

    let map: Attribution = saliency(&Job::detached(), &photo.clone().into(), false, &Explain::default())?;
    map.evcxr_display();

    let raw: Tensor = map.map()?.into();
    raw.evcxr_display();

    let options = DreamOptions { octaves: 2, steps: 8, layer: Some("fire5".into()), ..DreamOptions::default() };
    let temple: Image = percept::image::photo("china")?.resize(300, 200)?;
    let dreamed: Image = dream(&Job::detached(), &temple, &options)?;
    dreamed.evcxr_display();

    let probabilities: Vec<f64> = answer.ranked.iter().map(|class| f64::from(class.probability)).collect();
    let bars: Plot = percept::plot::bar(
        probabilities.into(),
        Some(answer.ranked.iter().map(|class| class.name.clone()).collect()),
        None,
        &Default::default(),
        &percept::plot::Titles { title: Some("The most probable classes".into()), ..Default::default() },
        &Default::default(),
    )?;
    bars.evcxr_display();

    Ok(())
}
