//! The class activation map of networks that end in global pooling: exact, not estimated.

use candle_core::D;

use super::{Attribution, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Layer, Linear, Model, NodeId, Op};
use crate::vis::Explain;
use crate::vis::objective::Measure;

/// Which places of the last layer the score of a class comes from, exactly: in networks that end in a mean over all places, at
/// most with one linear layer behind it, the score *is* the mean of this map (plus the class's bias, which is spread over
/// it). What remains is rounding, and stated.
///
/// SqueezeNet, ResNet, GoogLeNet, DenseNet, MobileNet and many others are such networks; AlexNet and VGG are not.
///
/// ```rhai
/// cam(photo("chelsea"))
/// ```
#[function(source = "Zhou et al., Learning Deep Features for Discriminative Localization, 2015, arXiv:1512.04150")]
pub fn cam(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    let model = question.model.clone();
    let head = Head::of(&model)?;
    if let Some(goal) = &question.goal {
        let Some(class) = goal.class() else {
            let message = format!("cam: it shows the score of a class, not {}", goal.description(&model));
            return Err(Error::new(Kind::Argument, message)
                .with_hint("grad_cam takes any target")
                .at_argument("target"));
        };
        if class.measure != Measure::Score {
            let message = "cam: the map sums to the logit, not to a probability";
            return Err(Error::new(Kind::Argument, message).with_hint("leave out `of`").at_argument("target"));
        }
    }
    let prediction = question.answer(job)?;
    let class = prediction.class.as_ref().ok_or_else(|| Error::new(Kind::Internal, "a class without a score"))?;
    let maps = head.layer.activations(&prediction.input, job.interrupt())?.squeeze(0)?;
    let places = maps.dim(D::Minus2)? * maps.dim(D::Minus1)?;
    // one output decides between two classes, and speaks for one of them
    let binary = prediction.model.answer().is_binary();
    let output = if binary { 0 } else { class.class };
    let map = match &head.linear {
        None => maps.narrow(0, output, 1)?,
        Some(linear) => {
            let weights = prediction.model.weights();
            let row = weights.get(&linear.weight)?.narrow(0, output, 1)?.reshape(((), 1, 1))?;
            let map = maps.broadcast_mul(&row)?.sum_keepdim(0)?;
            match &linear.bias {
                Some(bias) => map.broadcast_add(&weights.get(bias)?.narrow(0, output, 1)?.reshape((1, 1, 1))?)?,
                None => map,
            }
        }
    };
    let against = binary && prediction.model.answer().speaks_for() != class.class;
    let map = if against { map.neg()? } else { map };
    // each place's part of the score
    let map = (map / places as f64)?;
    let sum = crate::tensor::sum_of(&map.flatten_all()?.to_vec1::<f32>()?, f64::from);
    let error = sum - f64::from(prediction.score);
    let unit = format!("part of the {}", prediction.score_name());
    let attribution = Attribution::new("CAM", &prediction, map, Sign::Signed, unit);
    Ok(attribution.with_completeness_error(error).of_layer(head.layer))
}

/// The end of a network: a layer whose mean over all places is the output, at most with a linear layer behind it.
struct Head<'a> {
    layer: Layer,
    linear: Option<&'a Linear>,
}

impl<'a> Head<'a> {
    fn of(model: &'a Model) -> Result<Self> {
        let graph = model.graph();
        let mut id: NodeId = graph.output();
        let mut linear = None;
        loop {
            let node = graph.node(id);
            let [input] = node.inputs.as_slice() else { return Err(no_head(model)) };
            match &node.op {
                Op::Dropout | Op::Flatten | Op::Unflatten(_) => id = *input,
                Op::Linear(found) if linear.is_none() => {
                    linear = Some(found);
                    id = *input;
                }
                Op::AdaptiveAvgPool2d([1, 1]) => return Ok(Self { layer: model.output().sibling(*input), linear }),
                Op::AvgPool2d { .. } if matches!(model.output().sibling(id).shape(), [_, 1, 1]) => {
                    return Ok(Self { layer: model.output().sibling(*input), linear });
                }
                _ => return Err(no_head(model)),
            }
        }
    }
}

fn no_head(model: &Model) -> Error {
    let message = format!("cam: {} does not end in a mean over all places", model.name());
    Error::new(Kind::Argument, message).with_hint("grad_cam works for any network").at_argument("model")
}
