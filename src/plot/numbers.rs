//! How scripts give the numbers and names of a plot.

use std::sync::Arc;

use super::Values;
use crate::lang::{Dynamic, FromValue, Reject, describe};
use crate::tensor::TensorValue;

/// A list of numbers, or a tensor of one dimension.
#[derive(Clone, Debug)]
pub struct Numbers(pub Values);

/// Numbers of one series, or a list of such, one for each series.
#[derive(Clone, Debug)]
pub struct OneOrMore(pub Vec<Values>);

/// Numbers, or names that stand at the places 0, 1, 2, …
#[derive(Clone, Debug)]
pub enum NumbersOrNames {
    /// Numbers.
    Numbers(Values),
    /// Names.
    Names(Arc<[String]>),
}

/// One name, or a list of them.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<String>);

impl<T: Into<Values>> From<T> for Numbers {
    fn from(values: T) -> Self {
        Self(values.into())
    }
}

impl<T: Into<Values>> From<T> for OneOrMore {
    fn from(values: T) -> Self {
        Self(vec![values.into()])
    }
}

impl<T: Into<Values>> From<T> for NumbersOrNames {
    fn from(values: T) -> Self {
        Self::Numbers(values.into())
    }
}

impl From<&str> for Names {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

/// A number as a list holds it: also a tensor of one.
fn number(item: &Dynamic) -> Option<f64> {
    if let Some(tensor) = item.read_lock::<TensorValue>() {
        return if tensor.inner().rank() == 0 { tensor.number().ok() } else { None };
    }
    item.as_float().or_else(|_| item.as_int().map(|number| number as f64)).ok()
}

/// Is it something that holds several numbers?
fn is_series(item: &Dynamic) -> bool {
    item.is_array() || item.read_lock::<TensorValue>().is_some_and(|tensor| tensor.inner().rank() > 0)
}

impl FromValue for Numbers {
    const EXPECTED: &'static str = "a list of numbers or a tensor of one dimension";
    const TYPES: &'static [&'static str] = &["list", "tensor"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(tensor) = value.read_lock::<TensorValue>() {
            if tensor.inner().rank() != 1 {
                let why = format!("must have one dimension; its shape is {:?}", tensor.inner().dims());
                let hint = "t[0] is the first row of a tensor t; t.reshape([-1]) has all its numbers in one dimension";
                return Err(Reject::Because(why, Some(hint.into())));
            }
            let values = tensor.values().map_err(|error| Reject::Because(error.to_string(), None))?;
            return Ok(Self(values.into_iter().map(f64::from).collect()));
        }
        let items = value.read_lock::<rhai::Array>().ok_or(Reject::Type)?;
        let values = items.iter().enumerate().map(|(index, item)| {
            number(item).ok_or_else(|| {
                Reject::Because(format!("must hold numbers, but holds {} at [{index}]", describe(item)), None)
            })
        });
        values.collect::<Result<_, _>>().map(Self)
    }
}

impl FromValue for OneOrMore {
    const EXPECTED: &'static str = "a list of numbers or a tensor of one dimension";
    const TYPES: &'static [&'static str] = &["list", "tensor"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(items) = value.read_lock::<rhai::Array>()
            && items.first().is_some_and(is_series)
        {
            let series = items.iter().enumerate().map(|(index, item)| match Numbers::from_value(item) {
                Ok(Numbers(values)) => Ok(values),
                Err(Reject::Because(why, hint)) => Err(Reject::Because(format!("at [{index}] {why}"), hint)),
                Err(Reject::Type) => {
                    let why = format!("must hold {} at [{index}], not {}", Numbers::EXPECTED, describe(item));
                    Err(Reject::Because(why, None))
                }
            });
            return series.collect::<Result<_, _>>().map(Self);
        }
        match Numbers::from_value(value) {
            Ok(Numbers(values)) => Ok(Self(vec![values])),
            Err(Reject::Because(why, Some(_))) => {
                Err(Reject::Because(why, Some("several series are given as a list: [t[0], t[1]]".into())))
            }
            Err(reject) => Err(reject),
        }
    }
}

impl FromValue for NumbersOrNames {
    const EXPECTED: &'static str = "a list of numbers or a tensor of one dimension";
    const TYPES: &'static [&'static str] = &["list", "tensor"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(items) = value.read_lock::<rhai::Array>()
            && items.first().is_some_and(|item| item.is_string())
        {
            return Ok(Self::Names(Vec::<String>::from_value(value)?.into()));
        }
        Numbers::from_value(value).map(|Numbers(values)| Self::Numbers(values))
    }
}

impl FromValue for Names {
    const EXPECTED: &'static str = "a string or a list of strings";
    const TYPES: &'static [&'static str] = &["string", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_string() {
            return String::from_value(value).map(|name| Self(vec![name]));
        }
        Vec::from_value(value).map(Self)
    }
}
