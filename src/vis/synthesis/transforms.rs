//! Which transforms an ascent looks through, as an argument.

use rhai::{Array, Dynamic, Map};

use crate::error::did_you_mean;
use crate::lang::{FromValue, Reject, choose};
use crate::vis::transform::{Amount, Blur, Crop, Flip, Jitter, Noise, Outside, Pad, Rotate, Scale, Transform};

/// What the maps of a list of transforms may hold.
const NAMES: [&str; 8] = ["pad", "jitter", "scale", "rotate", "flip", "crop", "noise", "blur"];

/// How far the middles of MaCo's boxes spread, as a share of the image's side.
const SPREAD: f64 = 0.15;

/// The transforms of an ascent, first to last.
#[derive(Clone, Debug, PartialEq)]
pub enum Transforms {
    /// Lucid's: a border of 12 grey pixels, a shift of 8, an enlargement from 0.9 to 1.1, a turn by at most 10°, a shift
    /// of 4.
    Standard,
    /// None.
    None,
    /// Sixteen boxes of 5 to 99 % of the image's side, and noise of 0.02.
    Crops,
    /// MaCo's: 32 boxes whose side shrinks from 50 to 5 % of the image's over the steps, and noise of 0.08.
    Maco,
    /// What a list says.
    List(Vec<Step>),
}

/// One transform of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A border of grey pixels.
    Pad(usize),
    /// A shift by at most so many pixels.
    Jitter(usize),
    /// Another size, between two factors.
    Scale(f64, f64),
    /// A turn by at most so many degrees.
    Rotate(f64),
    /// Mirrored, or not.
    Flip,
    /// Boxes with a side between two shares of the image's, and how many.
    Crop(f64, f64, usize),
    /// Boxes near the middle whose side shrinks over the steps, from the second share of the image's to the first, and how
    /// many.
    ShrinkingCrop(f64, f64, usize),
    /// Noise of a standard deviation.
    Noise(f64),
    /// A blur of a standard deviation in pixels.
    Blur(f64),
}

impl Transforms {
    /// The transforms themselves; boxes are sampled at `size` pixels.
    pub fn make(&self, size: usize) -> Vec<Box<dyn Transform>> {
        self.steps().into_iter().map(|step| step.make(size)).collect()
    }

    /// How many versions of an image they show at once.
    pub fn versions(&self) -> usize {
        let count = |step: &Step| match step {
            Step::Crop(_, _, count) | Step::ShrinkingCrop(_, _, count) => *count,
            _ => 1,
        };
        self.steps().iter().map(count).product()
    }

    fn steps(&self) -> Vec<Step> {
        match self {
            Self::None => Vec::new(),
            Self::Standard => {
                vec![Step::Pad(12), Step::Jitter(8), Step::Scale(0.9, 1.1), Step::Rotate(10.0), Step::Jitter(4)]
            }
            Self::Crops => vec![Step::Crop(0.05, 0.99, 16), Step::Noise(0.02)],
            Self::Maco => vec![Step::ShrinkingCrop(0.05, 0.5, 32), Step::Noise(0.08)],
            Self::List(steps) => steps.clone(),
        }
    }
}

impl Step {
    fn make(self, size: usize) -> Box<dyn Transform> {
        match self {
            Self::Pad(margin) => Box::new(Pad::grey(margin)),
            Self::Jitter(pixels) => Box::new(Jitter(pixels)),
            Self::Scale(least, most) => Box::new(Scale(Amount::Between(least, most))),
            Self::Rotate(degrees) => Box::new(Rotate { outside: Outside::Value(0.5), ..Rotate::within(degrees) }),
            Self::Flip => Box::new(Flip),
            Self::Crop(least, most, count) => Box::new(Crop { least, most, shrinks: false, spread: None, size, count }),
            Self::ShrinkingCrop(least, most, count) => {
                Box::new(Crop { least, most, shrinks: true, spread: Some(SPREAD), size, count })
            }
            Self::Noise(deviation) => Box::new(Noise { deviation: deviation as f32 }),
            Self::Blur(sigma) => Box::new(Blur { sigma }),
        }
    }

    /// The transform that one entry of a map means.
    fn read(name: &str, value: &Dynamic) -> Result<Self, Reject> {
        let wrong = |what: &str| Reject::Because(format!("takes {name} as {what}, not {value}"), None);
        let number = |least: f64, most: f64| {
            let number = value.as_float().or_else(|_| value.as_int().map(|whole| whole as f64));
            number.ok().filter(|number| (least..=most).contains(number))
        };
        let pixels = |most: i64| value.as_int().ok().filter(|pixels| (0..=most).contains(pixels));
        let pair = || -> Option<(f64, f64)> {
            let numbers: Vec<f64> = value
                .read_lock::<Array>()?
                .iter()
                .map(|item| item.as_float().or_else(|_| item.as_int().map(|whole| whole as f64)).ok())
                .collect::<Option<_>>()?;
            match numbers[..] {
                [least, most] if least > 0.0 && least <= most => Some((least, most)),
                _ => None,
            }
        };
        Ok(match name {
            "pad" => Self::Pad(pixels(512).ok_or_else(|| wrong("pixels from 0 to 512"))? as usize),
            "jitter" => Self::Jitter(pixels(4096).ok_or_else(|| wrong("pixels from 0 to 4096"))? as usize),
            "scale" => {
                let (least, most) =
                    pair().filter(|(_, most)| *most <= 4.0).ok_or_else(|| wrong("two factors above 0 and up to 4"))?;
                Self::Scale(least, most)
            }
            "rotate" => Self::Rotate(number(0.0, 180.0).ok_or_else(|| wrong("degrees from 0 to 180"))?),
            "flip" => match value.as_bool() {
                Ok(true) => Self::Flip,
                _ => return Err(wrong("true")),
            },
            "crop" => {
                let what = "two shares of the image's side, up to 1, and how many boxes, up to 256, if not 16";
                let (first, second, count) = boxes(value).ok_or_else(|| wrong(what))?;
                match first <= second {
                    true => Self::Crop(first, second, count),
                    false => Self::ShrinkingCrop(second, first, count),
                }
            }
            "noise" => Self::Noise(number(0.0, 1.0).ok_or_else(|| wrong("a standard deviation from 0 to 1"))?),
            "blur" => Self::Blur(number(0.0, 100.0).ok_or_else(|| wrong("a standard deviation from 0 to 100 pixels"))?),
            _ => {
                let hint = did_you_mean(name, NAMES).or_else(|| Some(format!("there are {}", NAMES.join(", "))));
                return Err(Reject::Because(format!("has no transform {name:?}"), hint));
            }
        })
    }
}

/// The two shares of `[0.05, 0.99]` or `[0.5, 0.05, 32]`, and the number of boxes.
fn boxes(value: &Dynamic) -> Option<(f64, f64, usize)> {
    let items = value.read_lock::<Array>()?;
    let share = |item: &Dynamic| {
        let share = item.as_float().or_else(|_| item.as_int().map(|whole| whole as f64)).ok()?;
        (share > 0.0 && share <= 1.0).then_some(share)
    };
    let (first, second, count) = match &items[..] {
        [first, second] => (first, second, 16),
        [first, second, count] => (first, second, usize::try_from(count.as_int().ok()?).ok()?),
        _ => return None,
    };
    (1..=256).contains(&count).then_some((share(first)?, share(second)?, count))
}

/// Those that have a name.
#[derive(Clone, Copy)]
enum Named {
    Standard,
    Crops,
    Maco,
    None,
}

impl FromValue for Transforms {
    const EXPECTED: &'static str = "\"standard\", \"crops\", \"maco\", \"none\", or a list such as [#{jitter: 8}, #{scale: [0.9, 1.1]}, #{rotate: 10}]";
    const TYPES: &'static [&'static str] = &["string", "list"];
    const CHOICES: &'static [&'static str] = &["standard", "crops", "maco", "none"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(items) = value.read_lock::<Array>() {
            let mut steps = Vec::new();
            for item in items.iter() {
                let Some(entries) = item.read_lock::<Map>() else { return Err(Reject::Type) };
                for (name, value) in entries.iter() {
                    steps.push(Step::read(name, value)?);
                }
            }
            return Ok(Self::List(steps));
        }
        let named = [Named::Standard, Named::Crops, Named::Maco, Named::None];
        choose(value, Self::CHOICES, &named, "\"standard\", \"crops\", \"maco\" or \"none\"").map(|named| match named {
            Named::Standard => Self::Standard,
            Named::Crops => Self::Crops,
            Named::Maco => Self::Maco,
            Named::None => Self::None,
        })
    }
}
