//! Arguments that are one of a few names.

use crate::error::did_you_mean;
use crate::lang::{Dynamic, Reject};

/// The choice that a string names; `names` and `choices` go together.
pub(super) fn choose<T: Copy>(value: &Dynamic, names: &[&str], choices: &[T], expected: &str) -> Result<T, Reject> {
    if !value.is_string() {
        return Err(Reject::Type);
    }
    let given = value.to_string();
    let found = names.iter().position(|name| *name == given).and_then(|place| choices.get(place));
    found.copied().ok_or_else(|| {
        Reject::Because(format!("must be {expected}, not {given:?}"), did_you_mean(&given, names.iter().copied()))
    })
}
