//! Joining maps along their channels.

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};

/// Joins `[N, C₁, H, W]`, `[N, C₂, H, W]`, … to `[N, C₁ + C₂ + …, H, W]`.
pub fn concat(inputs: &[Tensor]) -> Result<Tensor> {
    match inputs {
        [] => Err(Error::new(Kind::Tensor, "concat needs at least one input")),
        [one] => Ok(one.clone()),
        _ => Ok(Tensor::cat(inputs, 1)?),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{gradient, random, rng, values};

    #[test]
    fn each_input_gets_its_part_of_the_gradient() {
        let mut rng = rng(31);
        let (a, b) = (random(&mut rng, (2, 3, 2, 2)), random(&mut rng, (2, 1, 2, 2)));
        let y = concat(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(values(&y.narrow(1, 3, 1).unwrap()), values(&b));
        let above = random(&mut rng, (2, 4, 2, 2));
        let ours = gradient(&b, &above, |b| concat(&[a.clone(), b.clone()]));
        assert_eq!(values(&ours), values(&above.narrow(1, 3, 1).unwrap()));
        assert!(concat(&[]).is_err());
    }
}
