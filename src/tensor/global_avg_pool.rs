//! The mean of each channel over the whole image.

use candle_core::Tensor;

use crate::error::Result;

/// `[N, C, H, W]` to `[N, C, 1, 1]`.
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let sum = x.sum_keepdim((2, 3))?;
    Ok((sum / (height * width) as f64)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, gradient, random, rng, values};

    #[test]
    fn mean_and_gradient_equal_the_definition() {
        let mut rng = rng(21);
        let x = random(&mut rng, (2, 3, 4, 5));
        let truth: Vec<f32> = values(&x).chunks(20).map(|plane| plane.iter().sum::<f32>() / 20.0).collect();
        assert_close(&values(&global_avg_pool(&x).unwrap()), &truth, 1e-6, "mean");
        let above = random(&mut rng, (2, 3, 1, 1));
        let truth: Vec<f32> = values(&above).iter().flat_map(|g| [g / 20.0; 20]).collect();
        assert_close(&values(&gradient(&x, &above, global_avg_pool)), &truth, 1e-6, "gradient");
    }
}
