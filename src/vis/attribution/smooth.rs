//! Any method over noisy copies of the image.

use super::anytime::{Anytime, Sampling};
use super::method::Method;
use super::smooth_grad::{Moments, Noise, Statistic, USUAL, add_noise};
use super::{Attribution, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::{Explain, Gather};

/// Any attribution method, averaged over noisy copies of the image; or the squares of its values, or their variance.
///
/// The class that is explained is that of the image without noise. `smooth_grad` is the same for the gradient, and faster.
///
/// ```rhai
/// smooth(grad_cam, photo("chelsea"), samples=5, noise=0.1, seed=1)
/// ```
#[function(source = "Smilkov et al., SmoothGrad, 2017, arXiv:1706.03825; Captum's NoiseTunnel")]
pub fn smooth(
    job: &Job,
    /// The method: the name of one, or a function of an image that returns an attribution.
    method: &Method,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] sampling: &Sampling,
    #[options] noise: &Noise,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let clean = method.attribution(job, image, explain)?;
    let prediction = &clean.prediction;
    let (seed, deviation) = (job.seed(sampling.seed), noise.deviation(prediction)?);
    let fixed = Explain { class: None, target: Some(prediction.goal.clone()), model: Some(prediction.model.clone()) };
    let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let (name, sign) = match noise.statistic {
        Statistic::Mean => (format!("smoothed {}", clean.method), clean.sign),
        Statistic::Square => (format!("mean square of {}", clean.method), Sign::Magnitude),
        Statistic::Variance => (format!("variance of {}", clean.method), Sign::Magnitude),
    };
    let mut blank = Attribution::new(&name, prediction, clean.values.clone(), sign, clean.unit.clone());
    blank.layer = clean.layer.clone();
    let moments = Moments::new(noise.statistic, clean.values.elem_count());
    let mut sampler = Anytime::new(blank, moments, sampling, USUAL);
    let progress = job.progress("smooth", sampler.most());
    let sample = |sampler: &mut Anytime<Moments>, index: usize| {
        let mut noisy = input.clone();
        add_noise(&mut noisy, seed, index, deviation);
        let noisy = candle_core::Tensor::from_vec(noisy, prediction.input.shape(), prediction.input.device())?;
        let sample = method.attribution(job, &noisy.into(), &fixed)?;
        if sample.values.dims() != clean.values.dims() {
            let message =
                format!("{method} gave values of shape {:?} and {:?}", clean.values.dims(), sample.values.dims());
            return Err(Error::new(Kind::Argument, message).at_argument("method"));
        }
        sampler.estimate.add(&sample.values.flatten_all()?.to_vec1::<f32>()?);
        sampler.report(&progress, 1)?;
        sampler.enough()
    };
    let mut outcome = Ok(());
    for index in 0..sampler.most() {
        match sample(&mut sampler, index) {
            Ok(false) => {}
            Ok(true) => {
                progress.end();
                break;
            }
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    sampler.finish(outcome)
}

/// A method that averages another one over noisy copies of the image, to be used where a method's name can stand.
///
/// ```rhai
/// let method = smooth(saliency, samples=3, seed=1);
/// smooth(method, photo("chelsea"), samples=2, seed=1)
/// ```
#[function(name = "smooth", source = "as for `smooth` of an image")]
fn smooth_method(
    /// The method: the name of one, or a function of an image that returns an attribution.
    method: Method,
    #[options] sampling: &Sampling,
    #[options] noise: &Noise,
) -> Result<Method> {
    let (sampling, noise) = (*sampling, *noise);
    Ok(Method::new(&format!("smooth({method})"), move |job, image, explain| {
        smooth(job, &method, image, &sampling, &noise, explain)
    }))
}
