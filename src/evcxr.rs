//! Percept's values in Rust notebooks: evcxr, Rust's own Jupyter kernel, shows a value richly if it has an inherent
//! method `evcxr_display` that prints its content between two marks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::data::{ImageSet, Member, Store};
use crate::error::Result;
use crate::image::superpixels::Superpixels;
use crate::image::{Film, Image, Scene};
use crate::lang::{Dynamic, Table};
use crate::model::{Layer, Model};
use crate::plot::Plot;
use crate::render::{Body, Figure, Heatmap};
use crate::session::Output;
use crate::tensor::TensorValue;
use crate::vis::attribution::{Attribution, ChannelShares, Method, NeuronGroups, Why};
use crate::vis::evaluation::{Measure, PlantedTruth, Ranking, Trust};
use crate::vis::fooling::{Fooled, Patch, PerturbationNetwork, Universal};
use crate::vis::objective::Goal;
use crate::vis::representation::{Activations, Embedding, Filters, Findings, Neighbors, TopPatches};
use crate::vis::segmentation::Segmentation;
use crate::vis::{Classification, Panels};

impl Output {
    /// Shows it in a Rust notebook; elsewhere it prints the marks that evcxr looks for.
    pub fn evcxr_display(&self) {
        match contents(self) {
            Ok(text) => print!("{text}"),
            Err(error) => println!("{error}"),
        }
    }
}

/// Everything that evcxr can show of an output, the richest last.
fn contents(output: &Output) -> Result<String> {
    let mut text = String::new();
    let mut add = |kind: &str, content: &str| {
        text.push_str(&format!("EVCXR_BEGIN_CONTENT {kind}\n{content}\nEVCXR_END_CONTENT\n"));
    };
    add("text/plain", &output.text);
    let png = output.png()?;
    if let Some(png) = &png {
        add("image/png", &BASE64.encode(png));
    }
    if let Some(svg) = output.svg()? {
        add("image/svg+xml", &svg);
    }
    if let Some(html) = output.page(png.as_deref()) {
        add("text/html", &html);
    }
    if let Some(markdown) = &output.markdown {
        add("text/markdown", markdown);
    }
    Ok(text)
}

/// Shows a value as the language shows it.
fn display(value: &Dynamic) {
    match Output::of(value) {
        Ok(output) => output.evcxr_display(),
        Err(error) => println!("{error}"),
    }
}

/// Gives types of the language the method that evcxr looks for.
macro_rules! display {
    ($($type:ty)*) => {
        $(impl $type {
            /// Shows it in a Rust notebook as the language shows it; elsewhere it prints the marks that evcxr looks for.
            pub fn evcxr_display(&self) {
                display(&Dynamic::from(self.clone()));
            }
        })*

        /// The types that have the method.
        #[cfg(test)]
        const DISPLAYED: &[fn() -> std::any::TypeId] = &[$(std::any::TypeId::of::<$type>),*];
    };
}

display! {
    Image Film TensorValue Table Plot
    Model Layer
    Classification Attribution
    Activations Filters
    Goal Method Superpixels Scene Segmentation Measure Trust Ranking PlantedTruth
    ChannelShares NeuronGroups Why
    ImageSet Member Store TopPatches Neighbors Embedding Findings
    Panels Fooled Patch Universal PerturbationNetwork
}

impl Figure {
    /// Shows the figure in a Rust notebook; elsewhere it prints the marks that evcxr looks for.
    pub fn evcxr_display(&self) {
        let text = self.title.clone().unwrap_or_else(|| "a figure".to_owned());
        Output { text, figure: Some(self.clone()), ..Output::default() }.evcxr_display();
    }
}

impl Heatmap {
    /// Shows the map in a Rust notebook; elsewhere it prints the marks that evcxr looks for.
    pub fn evcxr_display(&self) {
        Figure::new(Body::Heatmap(self.clone())).evcxr_display();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lang::value_types;

    /// A figure that a script has given a title, and a type of other tests.
    const NOT_OF_THE_LIBRARY: [&str; 2] = ["figure", "thing"];

    #[test]
    fn every_type_of_the_language_has_the_method() {
        let displayed: Vec<_> = DISPLAYED.iter().map(|id| id()).collect();
        let missing: Vec<&str> = value_types()
            .filter(|kind| !displayed.contains(&(kind.id)()) && !NOT_OF_THE_LIBRARY.contains(&kind.name))
            .map(|kind| kind.name)
            .collect();
        assert!(missing.is_empty(), "types without `evcxr_display`: {missing:?}");
    }

    #[test]
    fn pictures_come_with_their_text_between_the_marks() {
        let image = Image::filled(2, 2, [1.0, 0.0, 0.0]).unwrap();
        let text = contents(&Output::of(&Dynamic::from(image)).unwrap()).unwrap();
        let parts: Vec<&str> = text.split("EVCXR_END_CONTENT\n").collect();
        assert!(parts[0].starts_with("EVCXR_BEGIN_CONTENT text/plain\n"), "{text}");
        let png = parts[1].strip_prefix("EVCXR_BEGIN_CONTENT image/png\n").unwrap().trim();
        assert!(BASE64.decode(png).unwrap().starts_with(b"\x89PNG"));
        assert_eq!(parts[2..], [""]);
    }
}
