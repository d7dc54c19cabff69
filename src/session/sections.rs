//! The functions of the language by what they are about, as the manual and `:help` list them.

use std::collections::BTreeMap;

use crate::lang::{Function, functions};

/// What each folder of words is called in the manual.
fn heading(section: &str) -> String {
    match section {
        "session" => "Showing and help".into(),
        "lang" => "Tables".into(),
        "tensor" => "Tensors".into(),
        "image" => "Images".into(),
        "data" => "Sets of images".into(),
        "plot" => "Plots".into(),
        "model" => "Models and layers".into(),
        "vis" => "Classification".into(),
        "vis/attribution" => "Attribution".into(),
        "vis/evaluation" => "Trust in attributions".into(),
        "vis/fooling" => "Fooling".into(),
        "vis/objective" => "Objectives".into(),
        "vis/representation" => "Weights, activations, patches and neighbours".into(),
        "vis/segmentation" => "Segmentation".into(),
        "vis/synthesis" => "Feature visualization".into(),
        "vis/style" => "Texture and style".into(),
        "vis/texture" => "Textures from samples".into(),
        other => other.into(),
    }
}

/// All functions, by what they are about.
pub(super) fn by_section() -> Vec<(String, Vec<&'static Function>)> {
    let mut sections: BTreeMap<String, Vec<&Function>> = BTreeMap::new();
    for (_, overloads) in functions() {
        for function in overloads {
            sections.entry(function.section()).or_default().push(function);
        }
    }
    sections.into_iter().map(|(section, words)| (heading(&section), words)).collect()
}
