//! Arguments that are one of a few words.

use rhai::Dynamic;

use super::Reject;
use crate::error::did_you_mean;

/// Declares how the language writes the variants of an enum that is `Copy`:
/// `choices!(Padding { "constant" => Constant, "reflect" => Reflect })`.
///
/// The words feed argument checking, completion, help and errors.
macro_rules! choices {
    ($type:ident { $($word:literal => $variant:ident),+ $(,)? }) => {
        impl $crate::lang::FromValue for $type {
            const EXPECTED: &'static str = $crate::lang::choices!(@expected $($word),+);
            const TYPES: &'static [&'static str] = &["string"];
            const CHOICES: &'static [&'static str] = &[$($word),+];
            fn from_value(value: &$crate::lang::Dynamic) -> Result<Self, $crate::lang::Reject> {
                $crate::lang::choose(value, Self::CHOICES, &[$(Self::$variant),+], Self::EXPECTED)
            }
        }
    };
    (@expected $only:literal) => { concat!("\"", $only, "\"") };
    (@expected $first:literal, $last:literal) => { concat!("\"", $first, "\" or \"", $last, "\"") };
    (@expected $first:literal, $($rest:literal),+) => {
        concat!("\"", $first, "\", ", $crate::lang::choices!(@expected $($rest),+))
    };
}
pub(crate) use choices;

/// The choice that a string names; `words` and `choices` go together. See [`choices!`].
pub(crate) fn choose<T: Copy>(value: &Dynamic, words: &[&str], choices: &[T], expected: &str) -> Result<T, Reject> {
    if !value.is_string() {
        return Err(Reject::Type);
    }
    let given = value.to_string();
    let found = words.iter().position(|word| *word == given).and_then(|place| choices.get(place));
    found.copied().ok_or_else(|| {
        Reject::Because(format!("must be {expected}, not {given:?}"), did_you_mean(&given, words.iter().copied()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::FromValue;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fruit {
        Apple,
        Pear,
        Plum,
    }
    choices!(Fruit { "apple" => Apple, "pear" => Pear, "plum" => Plum });

    #[test]
    fn a_word_names_its_variant() {
        let of = |word: &str| Fruit::from_value(&Dynamic::from(word.to_owned()));
        assert_eq!(Fruit::EXPECTED, "\"apple\", \"pear\" or \"plum\"");
        assert_eq!(Fruit::CHOICES, ["apple", "pear", "plum"]);
        assert_eq!(of("apple").ok(), Some(Fruit::Apple));
        assert_eq!(of("pear").ok(), Some(Fruit::Pear));
        assert_eq!(of("plum").ok(), Some(Fruit::Plum));
        assert!(matches!(of("peer"), Err(Reject::Because(why, Some(hint)))
            if why == "must be \"apple\", \"pear\" or \"plum\", not \"peer\"" && hint.contains("`pear`")));
        assert!(matches!(Fruit::from_value(&Dynamic::from(1_i64)), Err(Reject::Type)));
    }
}
