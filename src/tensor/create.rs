//! Making tensors.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::{Seed, TensorValue};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Reject, describe, function};

/// The largest tensor that a script may ask for: 4 GiB of floats.
const LARGEST: usize = 1 << 30;

/// Whether a tensor of this shape is small enough, also if a size of 0 leaves it without numbers.
pub(super) fn is_reasonable(shape: &[usize]) -> bool {
    let count = shape.iter().try_fold(1usize, |product, size| product.checked_mul((*size).max(1)));
    count.is_some_and(|count| count <= LARGEST)
}

/// An error if a result of this shape is too large.
///
/// # Errors
/// It is.
pub(super) fn check_size(shape: &[usize], function: &str) -> Result<()> {
    if is_reasonable(shape) {
        return Ok(());
    }
    let message = format!("{function}: a result of shape {shape:?} is too large");
    Err(Error::new(Kind::Tensor, message).with_hint(format!("it may have at most {LARGEST} numbers")))
}

/// A list of sizes, one for each dimension.
pub struct Shape(pub Vec<usize>);

impl FromValue for Shape {
    const EXPECTED: &'static str = "a list of sizes";
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let sizes = Vec::<usize>::from_value(value)?;
        match is_reasonable(&sizes) {
            true => Ok(Self(sizes)),
            false => Err(Reject::Because(format!("asks for more than {LARGEST} numbers"), None)),
        }
    }
}

/// A tensor from nested lists of numbers.
///
/// ```rhai
/// tensor([[1, 2], [3, 4]])
/// ```
#[function]
fn tensor(
    /// Numbers, or lists of lists of the same length.
    values: Dynamic,
) -> Result<TensorValue> {
    if let Some(tensor) = values.clone().try_cast::<TensorValue>() {
        return Ok(tensor);
    }
    let mut numbers = Vec::new();
    let mut shape = Vec::new();
    flatten(&values, 0, &mut shape, &mut numbers).map_err(|error| error.at_argument("values"))?;
    TensorValue::from_values(numbers, &shape)
}

/// Collects nested lists; every list at one depth has the same length.
fn flatten(value: &Dynamic, depth: usize, shape: &mut Vec<usize>, numbers: &mut Vec<f32>) -> Result<()> {
    if let Ok(number) = value.as_float().or_else(|_| value.as_int().map(|number| number as f64)) {
        if depth < shape.len() {
            return Err(Error::new(Kind::Argument, "tensor: a number stands where a list is expected"));
        }
        numbers.push(number as f32);
        return Ok(());
    }
    let Some(items) = value.read_lock::<rhai::Array>() else {
        return Err(Error::new(Kind::Argument, format!("tensor: it is made of numbers, not {}", describe(value))));
    };
    match shape.get(depth) {
        None if numbers.is_empty() => shape.push(items.len()),
        Some(length) if *length == items.len() => {}
        _ => {
            let message = format!("tensor: a list of {} stands beside lists of another length", items.len());
            return Err(Error::new(Kind::Argument, message).with_hint("all lists at one depth have the same length"));
        }
    }
    items.iter().try_for_each(|item| flatten(item, depth + 1, shape, numbers))
}

/// A tensor of zeros.
///
/// ```rhai
/// zeros([2, 3])
/// ```
#[function]
fn zeros(
    /// One size for each dimension.
    shape: Shape,
) -> Result<TensorValue> {
    filled(&shape, 0.0)
}

/// A tensor of ones.
///
/// ```rhai
/// ones([2, 3]).sum()
/// ```
#[function]
fn ones(
    /// One size for each dimension.
    shape: Shape,
) -> Result<TensorValue> {
    filled(&shape, 1.0)
}

/// The numbers 0, 1, 2, … below an end.
///
/// ```rhai
/// arange(5) ** 2
/// ```
#[function]
fn arange(
    /// Where it ends; the end itself is left out.
    end: f64,
) -> Result<TensorValue> {
    counted(0.0, end, 1.0)
}

/// The numbers from a start by steps of one size, up to an end that is left out.
///
/// ```rhai
/// arange(1, 2, step=0.25)
/// ```
#[function(name = "arange")]
fn arange_from(
    /// The first number.
    start: f64,
    /// Where it ends; the end itself is left out.
    end: f64,
    /// From each number to the next; negative steps count down.
    #[default(1.0)]
    step: f64,
) -> Result<TensorValue> {
    counted(start, end, step)
}

fn counted(start: f64, end: f64, step: f64) -> Result<TensorValue> {
    let count = ((end - start) / step).ceil();
    if step == 0.0 || count < 1.0 {
        let message = format!("arange: no number from {start} by steps of {step} comes before {end}");
        return Err(Error::new(Kind::Argument, message).at_argument(if step == 1.0 { "end" } else { "step" }));
    }
    // a count beyond all integers becomes the largest
    let count = count as usize;
    check_size(&[count], "arange").map_err(|error| error.at_argument("end"))?;
    TensorValue::from_values((0..count).map(|place| (start + place as f64 * step) as f32).collect(), &[count])
}

fn filled(shape: &Shape, value: f32) -> Result<TensorValue> {
    TensorValue::from_values(vec![value; shape.0.iter().product()], &shape.0)
}

/// A tensor of random numbers from the standard normal distribution.
///
/// ```rhai
/// randn([2, 3], seed=7)
/// ```
#[function]
fn randn(
    job: &Job,
    /// One size for each dimension.
    shape: Shape,
    #[options] seed: &Seed,
) -> Result<TensorValue> {
    let mut random = ChaCha8Rng::seed_from_u64(seed.get(job));
    let count = shape.0.iter().product();
    let values = normal(&mut random).take(count).collect();
    TensorValue::from_values(values, &shape.0)
}

/// Normally distributed numbers with mean 0 and standard deviation 1.
pub fn normal(random: &mut ChaCha8Rng) -> impl Iterator<Item = f32> + '_ {
    random.sample_iter(StandardNormal)
}

/// A tensor of random numbers, evenly spread from 0 up to 1.
///
/// ```rhai
/// rand([2, 3], seed=7)
/// ```
#[function(name = "rand")]
fn uniform(
    job: &Job,
    /// One size for each dimension.
    shape: Shape,
    #[options] seed: &Seed,
) -> Result<TensorValue> {
    let mut random = ChaCha8Rng::seed_from_u64(seed.get(job));
    let values = std::iter::repeat_with(|| random.random::<f32>()).take(shape.0.iter().product()).collect();
    TensorValue::from_values(values, &shape.0)
}
