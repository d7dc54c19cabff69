//! Refusing NaN before it spreads: candle's ReLU and max-pool would swallow it silently.

use candle_core::{DType, Tensor};

use rayon::prelude::*;

use super::cpu::with_values;
use crate::error::{Error, Kind, Result};

/// The exponent of NaN and of what is infinite.
const EXPONENT: u32 = 0x7f80_0000;

/// An error that counts the NaN and infinite values of `x`, if there are any; `what` names the tensor.
pub fn check_finite(x: &Tensor, what: &str) -> Result<()> {
    let (nan, infinite) = with_values(&x.detach().to_dtype(DType::F32)?, |values| {
        // all bits of the exponent are set; without an early end the loop runs in vectors
        let strange = |part: &[f32]| part.iter().fold(false, |any, v| any | (v.to_bits() & EXPONENT == EXPONENT));
        if !values.par_chunks(1 << 15).any(strange) {
            return (0, 0);
        }
        let bad = values.iter().filter(|v| !v.is_finite());
        bad.fold((0_usize, 0_usize), |(nan, inf), v| if v.is_nan() { (nan + 1, inf) } else { (nan, inf + 1) })
    })?;
    let count = x.elem_count();
    match (nan, infinite) {
        (0, 0) => Ok(()),
        (0, _) => Err(Error::new(Kind::Tensor, format!("{infinite} of the {count} values of {what} are infinite"))),
        _ => Err(Error::new(Kind::Tensor, format!("{nan} of the {count} values of {what} are NaN"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn counts_what_is_not_a_number() {
        let t = |v: &[f32]| Tensor::new(v, &Device::Cpu).unwrap();
        assert!(check_finite(&t(&[0.0, -1.0, f32::MAX]), "x").is_ok());
        let error = check_finite(&t(&[f32::NAN, 1.0, f32::INFINITY]), "the input").unwrap_err();
        assert_eq!(error.to_string(), "1 of the 3 values of the input are NaN");
        assert!(check_finite(&t(&[f32::NEG_INFINITY]), "x").unwrap_err().to_string().contains("infinite"));
    }
}
