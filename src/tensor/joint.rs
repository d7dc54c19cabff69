//! Backward rules of operations with any number of inputs.

use candle_core::Tensor;

use super::with_backward;
use crate::error::{Error, Kind, Result};

/// Links `y`, already computed from `inputs`, to all of them on candle's tape.
///
/// `backward` maps the gradient of `y` to one gradient for each input, of its shape. `y` must not be on the tape itself.
/// If nothing asks for a gradient of an input, `y` comes back as it is. Two and more inputs are copied once; where there
/// is only one, this is [`with_backward`].
///
/// # Errors
/// The inputs are on different devices. Gradients that are missing or of another shape are errors of the backward pass.
pub fn with_joint_backward(
    inputs: &[Tensor],
    y: Tensor,
    backward: impl Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> Result<Tensor> {
    if !inputs.iter().any(Tensor::track_op) {
        return Ok(y);
    }
    let shapes: Vec<_> = inputs.iter().map(|x| x.shape().clone()).collect();
    let checked = move |above: &Tensor| {
        let gradients = backward(above)?;
        let fits =
            gradients.len() == shapes.len() && gradients.iter().zip(&shapes).all(|(g, shape)| g.shape() == shape);
        if fits {
            return Ok(gradients);
        }
        let found: Vec<_> = gradients.iter().map(Tensor::dims).collect();
        let message = format!("a backward rule returned gradients of shapes {found:?} for inputs {shapes:?}");
        Err(Error::new(Kind::Internal, message))
    };
    if let [x] = inputs {
        let lost = || Error::new(Kind::Internal, "a backward rule returned no gradient");
        return with_backward(x, y, move |above| checked(above)?.pop().ok_or_else(lost));
    }
    let flat = |tensors: &[Tensor]| -> Result<Tensor> {
        let flat: Vec<Tensor> = tensors.iter().map(Tensor::flatten_all).collect::<candle_core::Result<_>>()?;
        Ok(Tensor::cat(&flat, 0)?)
    };
    with_backward(&flat(inputs)?, y, move |above| flat(&checked(above)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn each_input_gets_its_gradient() {
        let vars: Vec<Var> = (0..5).map(|i| Var::new(&[[i as f32], [1.0]], &Device::Cpu).unwrap()).collect();
        let inputs: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let y = Tensor::new(&[7f32, 8.0], &Device::Cpu).unwrap();
        let rule = |above: &Tensor| {
            (0..5).map(|i| Ok((above.reshape((2, 1))? * f64::from(i))?)).collect::<Result<Vec<Tensor>>>()
        };
        let y = with_joint_backward(&inputs, y, rule).unwrap();
        assert_eq!(y.to_vec1::<f32>().unwrap(), [7.0, 8.0]);
        let weights = Tensor::new(&[1f32, 10.0], &Device::Cpu).unwrap();
        let gradients = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        for (i, var) in vars.iter().enumerate() {
            let gradient = gradients.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(gradient, [i as f32, 10.0 * i as f32]);
        }
    }

    #[test]
    fn gradients_of_other_shapes_are_refused() {
        for count in [1, 2] {
            let inputs: Vec<Tensor> =
                (0..count).map(|_| Var::new(&[1f32, 2.0], &Device::Cpu).unwrap().as_tensor().clone()).collect();
            let y = Tensor::new(3f32, &Device::Cpu).unwrap();
            let y = with_joint_backward(&inputs, y, move |above| Ok(vec![above.clone(); count])).unwrap();
            assert!(y.backward().unwrap_err().to_string().contains("backward rule"));
        }
    }

    #[test]
    fn nothing_is_linked_off_the_tape() {
        let x = Tensor::new(1f32, &Device::Cpu).unwrap();
        let y = with_joint_backward(&[x.clone(), x.clone()], x, |_| Ok(Vec::new())).unwrap();
        assert!(!y.track_op());
    }
}
