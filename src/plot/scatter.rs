//! Points by themselves.

use std::sync::Arc;

use super::{Data, Legend, Numbers, NumbersOrNames, Plot, Scales, Series, Titles};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// Plots `y` against `x` as points, each with a colour, a size or a name of its own if these are given.
///
/// Numbers as `colors` get a colour bar; names, such as those of classes, a colour each and a place in the legend. A
/// label is left out where it would cover another one.
///
/// ```rhai
/// scatter([1, 2, 3], [2.5, 0.5, 1.5], labels=["cat", "dog", "koala"], colors=[0.1, 0.5, 0.9], color_label="score")
/// ```
#[function]
pub fn scatter(
    /// Where the points are: a list of numbers, or a tensor of one dimension.
    x: Numbers,
    /// Their heights: as many.
    y: Numbers,
    /// A number for each point, or the name of its group.
    #[default]
    colors: Option<NumbersOrNames>,
    /// What the numbers of `colors` are.
    #[default]
    color_label: Option<String>,
    /// The diameter of the points in pixels, one for all or one for each.
    #[default]
    sizes: Option<Sizes>,
    /// A name for each point.
    #[default]
    labels: Option<Vec<String>>,
    #[options] legend: &Legend,
    #[options] titles: &Titles,
    #[options] scales: &Scales,
) -> Result<Plot> {
    let (Numbers(x), Numbers(y)) = (x, y);
    let (colors, groups) = match colors {
        None => (None, None),
        Some(NumbersOrNames::Numbers(colors)) => (Some(colors), None),
        Some(NumbersOrNames::Names(groups)) => (None, Some(groups)),
    };
    let mut plot = Plot::new(Data::Points {
        x,
        y,
        colors,
        color_label: color_label.map(Into::into),
        sizes: sizes.map(|Sizes(sizes)| sizes),
        names: labels.map(Into::into),
    })?;
    if let Some(groups) = groups {
        if legend.label.is_some() {
            let message = "`label` is one name for all points, `colors` names several groups of them";
            return Err(Error::new(Kind::Argument, message).at_argument("label"));
        }
        plot = grouped(&plot, &groups)?;
    }
    plot.named(legend)?.titled(titles).scaled(scales)
}

/// The points in one series for each group, in the order in which the groups first appear.
fn grouped(plot: &Plot, groups: &[String]) -> Result<Plot> {
    let mut found = Plot::default();
    for series in &plot.series {
        let Data::Points { x, y, sizes, names, .. } = &series.data else { continue };
        if groups.len() != y.len() {
            let message = format!("`colors` has {} names for {} points", groups.len(), y.len());
            return Err(Error::new(Kind::Argument, message).at_argument("colors"));
        }
        let mut order: Vec<&String> = Vec::new();
        for group in groups {
            if !order.contains(&group) {
                order.push(group);
            }
        }
        for group in order {
            let chosen: Vec<usize> = (0..y.len()).filter(|index| groups[*index] == *group).collect();
            let take = |values: &Arc<[f64]>| chosen.iter().map(|index| values[*index]).collect::<Arc<[f64]>>();
            let data = Data::Points {
                x: take(x),
                y: take(y),
                colors: None,
                color_label: None,
                sizes: sizes.as_ref().map(|sizes| if sizes.len() == 1 { sizes.clone() } else { take(sizes) }),
                names: names.as_ref().map(|names| chosen.iter().map(|index| names[*index].clone()).collect()),
            };
            found.series.push(Series { label: Some(group.as_str().into()), data });
        }
    }
    Ok(found)
}

/// One number for all points, or one for each.
#[derive(Clone, Debug)]
pub struct Sizes(pub Arc<[f64]>);

impl crate::lang::FromValue for Sizes {
    const EXPECTED: &'static str = "a number, a list of numbers or a tensor of one dimension";
    const TYPES: &'static [&'static str] = &["number", "integer", "list", "tensor"];
    fn from_value(value: &crate::lang::Dynamic) -> Result<Self, crate::lang::Reject> {
        match f64::from_value(value) {
            Ok(size) => Ok(Self([size].into())),
            Err(_) => Numbers::from_value(value).map(|Numbers(sizes)| Self(sizes)),
        }
    }
}
