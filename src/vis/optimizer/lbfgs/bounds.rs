//! The ranges that numbers are kept in.

use crate::error::{Error, Kind, Result};

/// The ranges that the numbers are kept in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Bounds {
    /// None.
    #[default]
    None,
    /// The same for all, the least and the most: 0 and 1 for pixels. Either may be infinite.
    All(f64, f64),
    /// The least and the most of each number; either may be infinite.
    Each(Vec<f64>, Vec<f64>),
}

impl Bounds {
    pub(super) fn at(&self, place: usize) -> (f64, f64) {
        match self {
            Self::None => (f64::NEG_INFINITY, f64::INFINITY),
            Self::All(least, most) => (*least, *most),
            Self::Each(least, most) => (
                least.get(place).copied().unwrap_or(f64::NEG_INFINITY),
                most.get(place).copied().unwrap_or(f64::INFINITY),
            ),
        }
    }

    /// The range of each of `count` numbers.
    pub(super) fn each(&self, count: usize) -> impl Iterator<Item = (f64, f64)> {
        (0..count).map(move |place| self.at(place))
    }

    pub(super) fn clip(&self, point: &mut [f64]) {
        if *self != Self::None {
            for (place, value) in point.iter_mut().enumerate() {
                let (least, most) = self.at(place);
                *value = value.max(least).min(most);
            }
        }
    }

    /// # Errors
    /// There are not `count` of them, or one holds no finite number.
    pub(super) fn check(&self, count: usize) -> Result<()> {
        if let Self::Each(least, most) = self
            && (least.len() != count || most.len() != count)
        {
            let message = format!("{} and {} bounds for {count} numbers", least.len(), most.len());
            return Err(Error::new(Kind::Argument, message).at_argument("bounds"));
        }
        let is_possible = |least: f64, most: f64| least <= most && least < f64::INFINITY && most > f64::NEG_INFINITY;
        match self.each(count).find(|(least, most)| !is_possible(*least, *most)) {
            None => Ok(()),
            Some((least, most)) => {
                let message = format!("a bound from {least} to {most} holds no number");
                Err(Error::new(Kind::Argument, message).at_argument("bounds"))
            }
        }
    }
}
