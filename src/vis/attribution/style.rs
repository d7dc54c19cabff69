//! How an attribution is to be shown, and several side by side.

use super::Attribution;
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject, choices, function};

/// How the map of an attribution is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// In colours over the image, beside it.
    #[default]
    Overlay,
    /// In colours alone.
    Heat,
    /// What speaks for the class, in colours over the image.
    Positive,
    /// What speaks against it.
    Negative,
    /// The image, as bright as the map.
    Masked,
    /// The standard error of a map that was sampled.
    Error,
}

choices!(Style {
    "overlay" => Overlay,
    "heat" => Heat,
    "positive" => Positive,
    "negative" => Negative,
    "masked" => Masked,
    "error" => Error,
});

/// What the user has said about the picture of an attribution.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// How it is shown.
    pub style: Style,
    /// The numbers at both ends of the colours; those of the map if not given.
    pub range: Option<(f32, f32)>,
    /// What stands above it.
    pub title: Option<String>,
    /// What stands below it.
    pub caption: Option<String>,
    /// Whether it stands beside others, so that the image is not shown again.
    pub beside: bool,
}

/// The lower and the higher end of a scale.
#[derive(Clone, Copy, Debug)]
pub struct Ends(f32, f32);

impl FromValue for Ends {
    const EXPECTED: &'static str = "a list [low, high]";
    const TYPES: &'static [&'static str] = &["list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match Vec::<f64>::from_value(value)?.as_slice() {
            [low, high] if low < high => Ok(Self(*low as f32, *high as f32)),
            [low, high] => Err(Reject::Because(format!("is [{low}, {high}]; the lower number stands first"), None)),
            numbers => Err(Reject::Because(format!("has {} numbers; [low, high] has 2", numbers.len()), None)),
        }
    }
}

/// The same attribution, shown in another way.
///
/// "overlay" puts the map's colours over the image, "heat" shows them alone, "positive" and "negative" what speaks for and
/// against the class, "masked" the image, as bright as the map, and "error" the standard error of a map that was sampled.
///
/// ```rhai
/// grad_cam(photo("chelsea")).style("masked")
/// ```
#[function(name = "style", source = "Captum's visualize_image_attr")]
fn styled(
    /// The attribution.
    attribution: &Attribution,
    /// "overlay", "heat", "positive", "negative", "masked" or "error".
    style: Style,
    /// The numbers at both ends of the colours; those of the map if not given.
    #[default]
    range: Option<Ends>,
) -> Result<Attribution> {
    if style == Style::Error && attribution.standard_error.is_none() {
        let message = format!("{} has no standard error: it was not sampled, or only once", attribution.method);
        return Err(Error::new(Kind::Argument, message).at_argument("style"));
    }
    let mut attribution = attribution.clone();
    attribution.look.style = style;
    attribution.look.range = range.map(|Ends(low, high)| (low, high));
    Ok(attribution)
}

/// Which numbers the colours of several maps span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Scale {
    #[default]
    Own,
    Shared,
}

choices!(Scale { "own" => Own, "shared" => Shared });

/// Several attributions side by side, each on a scale of its own or all on one, which the captions say.
///
/// ```rhai
/// let cat = photo("chelsea");
/// compare([saliency(cat), grad_cam(cat)], titles=["Pixels", "Last layer"])
/// ```
#[function(source = "Captum's visualize_image_attr_multiple")]
fn compare(
    /// The attributions.
    attributions: Vec<Attribution>,
    /// What stands above each; the methods' names if not given.
    #[default]
    titles: Option<Vec<String>>,
    /// The colours: "own" (each map from its least to its greatest number) or "shared" (all maps alike, for maps that measure
    /// the same).
    #[default("own")]
    scale: Scale,
    /// "overlay", "heat", "positive", "negative", "masked" or "error".
    #[default("overlay")]
    style: Style,
) -> Result<Vec<Attribution>> {
    if let Some(titles) = &titles
        && titles.len() != attributions.len()
    {
        let message = format!("compare: there are {} titles for {} attributions", titles.len(), attributions.len());
        return Err(Error::new(Kind::Argument, message).at_argument("titles"));
    }
    let most = attributions.iter().map(most).collect::<Result<Vec<f32>>>()?.into_iter().fold(0.0, f32::max);
    let signed = attributions.iter().any(|attribution| attribution.sign == super::Sign::Signed);
    let caption = match scale {
        Scale::Own => "On a scale of its own.",
        Scale::Shared => "On the scale that all share.",
    };
    let mut attributions = attributions;
    for (index, attribution) in attributions.iter_mut().enumerate() {
        let look = &mut attribution.look;
        look.style = style;
        look.beside = true;
        look.title = titles.as_ref().and_then(|titles| titles.get(index).cloned());
        look.caption = Some(caption.to_owned());
        if scale == Scale::Shared && most > 0.0 {
            look.range = Some(if signed { (-most, most) } else { (0.0, most) });
        }
    }
    Ok(attributions)
}

/// The largest magnitude of a map.
fn most(attribution: &Attribution) -> Result<f32> {
    let values: Vec<f32> = attribution.map()?.flatten_all()?.to_vec1()?;
    Ok(values.into_iter().fold(0.0, |most, value| most.max(value.abs())))
}
